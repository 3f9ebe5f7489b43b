import type { RejectionCause } from "@warren/contracts";
import { type Acceptance, LedgerDataError, type SourceLimits, type WebhookStore } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Origin } from "../routing/route.ts";
import { type Routed, withoutOutput } from "../routing/routed.ts";
import type { Router } from "../routing/router.ts";
import type { Source } from "../sources/source.ts";
import { subjectOf } from "../sources/subjects.ts";
import type { Answer, Challenge, WebhookRequest } from "../verify/verdict.ts";
import { createEvent } from "./event.ts";

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
  /** Authentic, but more than the source's rate limit takes: nothing was kept. */
  | { readonly kind: "limited"; readonly retryAfterMs: number }
  /** Our failure: it was not accepted, or we do not know, and the sender should come again. */
  | { readonly kind: "failed"; readonly why: "store" | "secrets" };

export interface IntakeOptions {
  readonly store: Pick<WebhookStore, "accept">;
  readonly limits: SourceLimits;
  readonly router: Pick<Router, "route" | "accepted">;
  readonly log: Logger;
  readonly now: () => number;
}

export type Intake = (received: Received) => Promise<Outcome>;

/** Verify, route, then keep: the request, its dedupe key and what its rules made with one commit. Resolves after it. Never throws. */
export function createIntake({ store, limits, router, log, now }: IntakeOptions): Intake {
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

    if (source.limit !== undefined) {
      try {
        const retryAfterMs = await limits.take(source.name, source.limit);
        if (retryAfterMs > 0) return { kind: "limited", retryAfterMs };
      } catch (error) {
        complain(() => log.error({ err: error, source: source.name }, notStored));
        return { kind: "failed", why: "store" };
      }
    }

    const { dedupeKey, eventId, eventType } = verdict;
    const eventSubject = verdict.eventSubject ?? subjectOf(source.provider, request, verdict.parsed);
    const event = createEvent({
      requestId: id,
      source: source.name,
      provider: source.provider,
      eventId,
      eventType,
      eventSubject,
      receivedAt: new Date(nowMs),
      url: request.url,
      rawHeaders: request.rawHeaders,
      body: request.body,
      parsed: verdict.parsed,
    });
    const routing = router.route(event, origin);
    let routed: Routed = routing instanceof Promise ? await routing : routing;

    const keep = (): ReturnType<typeof store.accept> =>
      store.accept({
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
        eventSubject,
        jobs: routed.jobs,
        events: routed.events,
        routes: routed.routes,
      });
    try {
      let kind: Acceptance;
      try {
        kind = await keep();
      } catch (error) {
        if (!(error instanceof LedgerDataError) || (routed.jobs.length === 0 && routed.events.length === 0))
          throw error;
        // what a rule made is at fault, not the event: it is kept, with the reason, to be routed again
        routed = withoutOutput(routed, error.message);
        kind = await keep();
      }
      if (kind === "accepted") router.accepted(event, routed);
      return { kind, answer: verdict.answer };
    } catch (error) {
      complain(() => log.error({ err: error, source: source.name }, notStored));
      return { kind: "failed", why: "store" };
    }
  };
}

const notStored = "webhooks could not be stored and are put off";

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
