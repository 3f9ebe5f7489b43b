import type { RejectionCause } from "@warren/contracts";
import type { AcceptedRequest, WebhookStore } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Origin } from "../routing/route.ts";
import type { Routes } from "../routing/routes.ts";
import type { Source } from "../sources/source.ts";
import { subjectOf } from "../sources/subjects.ts";
import type { Answer, Challenge, WebhookRequest } from "../verify/verdict.ts";
import { payloadOf, type WebhookEvent } from "./event.ts";

/** A whole request that came to a known source. */
interface Received {
  readonly id: string;
  readonly source: Source;
  readonly request: WebhookRequest;
  readonly peerAddress: string | undefined;
  readonly origin: Origin;
}

export type Outcome =
  /** `answer`: to this event, where it differs from the source's. */
  | { readonly kind: "accepted" | "duplicate"; readonly answer: Answer | undefined }
  | Challenge
  | { readonly kind: "rejected"; readonly cause: RejectionCause }
  /** Our failure: it was not accepted, or we do not know, and the sender should come again. */
  | { readonly kind: "failed"; readonly why: "store" | "routing" | "secrets" };

export interface IntakeOptions {
  readonly store: Pick<WebhookStore, "accept">;
  readonly routes: Routes;
  readonly log: Logger;
  readonly now: () => number;
}

export type Intake = (received: Received) => Promise<Outcome>;

/** Verify, route, then keep: the request, its dedupe key and its jobs in one statement. Resolves after the commit. Never throws. */
export function createIntake({ store, routes, log, now }: IntakeOptions): Intake {
  const complain = oncePerSecond(now);

  return async ({ id, source, request, peerAddress, origin }) => {
    const nowMs = now();
    const verdict = source.verify(request, source.secrets, nowMs);
    if (verdict.kind === "rejected" || verdict.kind === "challenge") return verdict;
    if (verdict.kind === "unavailable") {
      complain(() =>
        log.error({ source: source.name }, "no secret of this source is current; its webhooks are put off"),
      );
      return { kind: "failed", why: "secrets" };
    }

    const { dedupeKey, eventId, eventType } = verdict;
    let jobs: AcceptedRequest["jobs"];
    try {
      const event: WebhookEvent = {
        requestId: id,
        source: source.name,
        provider: source.provider,
        eventId,
        eventType,
        receivedAt: new Date(nowMs),
        payload: payloadOf(request.body, verdict.parsed),
      };
      jobs = routes(source.provider)(event, origin);
    } catch (error) {
      log.error(
        { err: error, source: source.name, requestId: id, eventType },
        "a route failed; the webhook is put off",
      );
      return { kind: "failed", why: "routing" };
    }

    try {
      const kind = await store.accept({
        id,
        source: source.name,
        provider: source.provider,
        method: request.method,
        url: request.url,
        rawHeaders: request.rawHeaders,
        peerAddress,
        clientAddress: request.clientAddress,
        correlationId: origin.correlationId,
        body: request.body,
        dedupeKey,
        eventId,
        eventType,
        eventSubject: verdict.eventSubject ?? subjectOf(source.provider, request, verdict.parsed),
        jobs,
      });
      return { kind, answer: verdict.answer };
    } catch (error) {
      complain(() => log.error({ err: error, source: source.name }, "webhooks could not be stored and are put off"));
      return { kind: "failed", why: "store" };
    }
  };
}

/** An outage fails thousands of requests; one line a second tells as much. */
function oncePerSecond(now: () => number): (write: () => void) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (write) => {
    const at = now();
    if (at - last < 1_000) return;
    last = at;
    write();
  };
}
