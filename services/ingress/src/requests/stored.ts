import type { Judgement, RequestSummary, StoredRequest } from "@warren/ledger";
import { createEvent, type WebhookEvent } from "../intake/event.ts";
import type { ProviderName } from "../sources/providers.ts";
import type { Source } from "../sources/source.ts";
import { subjectOf } from "../sources/subjects.ts";
import { describingHeader } from "../verify/header.ts";
import { isCurrent, type Secret, type WebhookRequest } from "../verify/verdict.ts";

/** The source of a name, as this process knows it now. */
export type FindSource = (name: string) => Source | undefined;

/** A stored request as its verifier saw it when it came. */
function asReceived(stored: StoredRequest, body: Buffer): WebhookRequest {
  return {
    method: stored.method,
    url: urlOf(stored),
    rawHeaders: stored.rawHeaders,
    body,
    clientAddress: stored.clientAddress,
    peerAddress: stored.peerAddress,
  };
}

function urlOf({ path, query }: Pick<RequestSummary, "path" | "query">): string {
  return query === undefined ? path : `${path}?${query}`;
}

/**
 * Judges a stored request with what its source knows today, as of the moment at which it came: a signed time is held against that moment,
 * and no older request passes than would have passed then. Secrets that are current now count too, since they correct those of then.
 */
export function judgeStored(sourceOf: FindSource, now: () => number): (stored: StoredRequest) => Judgement {
  return (stored) => {
    const source = sourceOf(stored.source);
    if (source === undefined || stored.body === undefined) return { kind: "refused", why: "source_gone" };
    const request = asReceived(stored, stored.body);
    const cause = unsupported(request, source);
    if (cause !== undefined) return { kind: "refused", why: "still_rejected", cause };
    const receivedAt = stored.receivedAt.getTime();
    const secrets = source.secrets.filter((secret) => isCurrent(secret, now()) || isCurrent(secret, receivedAt));
    const verdict = source.verify(request, secrets.map(always), receivedAt);
    switch (verdict.kind) {
      case "verified": {
        const { dedupeKey, eventId, eventType, parsed } = verdict;
        const subject = verdict.eventSubject ?? subjectOf(source.provider, request, parsed);
        return { kind: "authentic", dedupeKey, eventId, eventType, subject };
      }
      case "rejected":
        return { kind: "refused", why: "still_rejected", cause: verdict.cause };
      // the provider that asked is long gone, and a challenge is no event
      case "challenge":
        return { kind: "refused", why: "still_rejected" };
      case "unavailable":
        return { kind: "refused", why: "source_gone" };
      default:
        return verdict satisfies never;
    }
  };
}

function always(secret: Secret): Secret {
  return { ...secret, notBeforeMs: Number.NEGATIVE_INFINITY, notAfterMs: Number.POSITIVE_INFINITY };
}

function unsupported({ method, rawHeaders }: WebhookRequest, source: Source) {
  if (!source.enabled) return "source_disabled" as const;
  if (!source.methods.some((known) => known === method)) return "method_not_allowed" as const;
  const encoding = describingHeader(rawHeaders, "content-encoding");
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") return "encoding_unsupported" as const;
  return source.takesContentType(describingHeader(rawHeaders, "content-type"))
    ? undefined
    : ("content_type_unsupported" as const);
}

/** The event in a stored request, for routing. @throws RangeError when neither the source nor the request names a provider. */
export function eventOf(sourceOf: FindSource, stored: StoredRequest): WebhookEvent {
  const provider = sourceOf(stored.source)?.provider ?? (stored.provider as ProviderName | undefined);
  if (provider === undefined) throw new RangeError(`the source ${stored.source} has no provider`);
  return createEvent({
    requestId: stored.id,
    source: stored.source,
    provider,
    eventId: stored.eventId,
    eventType: stored.eventType,
    receivedAt: stored.receivedAt,
    url: urlOf(stored),
    rawHeaders: stored.rawHeaders,
    body: stored.body ?? Buffer.alloc(0),
    parsed: undefined,
  });
}
