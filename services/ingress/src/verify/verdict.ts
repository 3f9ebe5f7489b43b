import type { KeyObject } from "node:crypto";
import type { RejectionCause } from "@warren/contracts";

/** What a verifier sees of one received HTTP call: nothing parsed, nothing decoded. */
export interface WebhookRequest {
  readonly method: string;
  /** Path and query as they stood in the request line. */
  readonly url: string;
  /** Names and values in turn, in the order and case received (`IncomingMessage.rawHeaders`). */
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  /** The sender's address as far as trusted proxies tell it. */
  readonly clientAddress: string | undefined;
  /** The other end of the connection: the sender, or the nearest proxy. */
  readonly peerAddress: string | undefined;
}

/** An authentic request, with what its provider says about the event. */
interface Verified {
  readonly kind: "verified";
  /** The same for every delivery of one event and different for any other event of the source. */
  readonly dedupeKey: string;
  /** The provider's own id of the event, where it has one. */
  readonly eventId: string | undefined;
  readonly eventType: string | undefined;
  /** What the event is about, where the source's options say so; otherwise see `sources/subjects.ts`. */
  readonly eventSubject?: string | undefined;
  /** The parsed body, when the verifier had to parse it. */
  readonly parsed?: unknown;
  /** The answer to this event, where the provider wants another than to its other events. */
  readonly answer?: Answer;
}

/** What a provider wants to read. */
export interface Answer {
  readonly kind: "answer";
  readonly status: 200 | 201 | 202 | 204;
  /** `undefined`: there is no body. */
  readonly contentType: string | undefined;
  readonly body: string;
}

/** How accepted events are answered: with Warren's own receipt, or with what the provider wants to read. */
export type Ack = { readonly kind: "receipt"; readonly status: 200 | 202 } | Answer;

/**
 * The provider asks whether we are who it thinks, or there at all. It is answered at once and kept, but is no event and makes no
 * job. Unless the provider's protocol leaves it unsigned, only a request that was proven may become one.
 */
export interface Challenge {
  readonly kind: "challenge";
  readonly answer: Answer;
  readonly eventType: string | undefined;
}

export interface Rejected {
  readonly kind: "rejected";
  readonly cause: RejectionCause;
}

/** Our own configuration cannot judge the request now, so the sender should come again. */
interface Unavailable {
  readonly kind: "unavailable";
}

/** A verdict on a request that is not, or not now, taken for authentic. */
export type Refusal = Rejected | Unavailable;

export type Verdict = Verified | Challenge | Refusal;

/** Judges a request. Total and pure: never throws, whatever the request holds, and takes time linear in its size. */
export type Verify = (request: WebhookRequest, secrets: readonly Secret[], nowMs: number) => Verdict;

/** A key that is good for a time. Two with overlapping times make a rotation that refuses nothing. */
export interface Secret {
  readonly key: KeyObject;
  /** First and last millisecond (Unix time) at which the secret is good. Default: always. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export function isCurrent(secret: Secret, nowMs: number): boolean {
  return nowMs >= secret.notBeforeMs && nowMs <= secret.notAfterMs;
}

export function answer(status: Answer["status"], contentType?: string, body = ""): Answer {
  return { kind: "answer", status, contentType, body };
}

export function jsonAnswer(value: unknown): Answer {
  return answer(200, "application/json", JSON.stringify(value));
}

const rejections = new Map<RejectionCause, Rejected>();

/** One frozen object a cause: a flood of forgeries allocates nothing for its verdicts. */
export function rejected(cause: RejectionCause): Rejected {
  let verdict = rejections.get(cause);
  if (verdict === undefined) {
    verdict = Object.freeze({ kind: "rejected", cause });
    rejections.set(cause, verdict);
  }
  return verdict;
}

export const unavailable: Unavailable = Object.freeze({ kind: "unavailable" });
