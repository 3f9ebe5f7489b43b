import type { ErrorCode, RejectionCause } from "@warren/contracts";
import type { FastifyReply } from "fastify";
import type { Outcome } from "../intake/intake.ts";
import type { Ack } from "../verify/verdict.ts";
import { sendProblem } from "./problem.ts";

interface Refusal {
  readonly status: 400 | 401 | 404 | 405 | 413 | 415;
  readonly code: ErrorCode;
}

const notAuthentic: Refusal = { status: 401, code: "WEBHOOK_NOT_AUTHENTIC" };

/** 4xx is for what will never pass, however often it is sent. */
const refusals: Readonly<Record<RejectionCause, Refusal>> = {
  source_unknown: { status: 404, code: "WEBHOOK_SOURCE_UNKNOWN" },
  source_disabled: { status: 404, code: "WEBHOOK_SOURCE_DISABLED" },
  body_too_large: { status: 413, code: "WEBHOOK_BODY_TOO_LARGE" },
  body_incomplete: { status: 400, code: "WEBHOOK_BODY_INCOMPLETE" },
  body_malformed: { status: 400, code: "WEBHOOK_BODY_MALFORMED" },
  encoding_unsupported: { status: 415, code: "WEBHOOK_ENCODING_UNSUPPORTED" },
  content_type_unsupported: { status: 415, code: "WEBHOOK_CONTENT_TYPE_UNSUPPORTED" },
  method_not_allowed: { status: 405, code: "WEBHOOK_METHOD_NOT_ALLOWED" },
  signature_missing: notAuthentic,
  header_repeated: notAuthentic,
  signature_malformed: notAuthentic,
  signature_mismatch: notAuthentic,
  timestamp_missing: notAuthentic,
  timestamp_malformed: notAuthentic,
  timestamp_too_old: notAuthentic,
  timestamp_in_future: notAuthentic,
  address_unknown: notAuthentic,
  address_not_allowed: notAuthentic,
};

export function answerRejected(reply: FastifyReply, cause: RejectionCause, correlationId: string): FastifyReply {
  const { status, code } = refusals[cause];
  return sendProblem(reply, status, code, { detail: cause, correlationId });
}

/** Answers what was taken: an event by the source's `ack` unless its verdict brings another, a challenge by its own answer. */
export function answerTaken(
  reply: FastifyReply,
  outcome: Extract<Outcome, { readonly kind: "accepted" | "duplicate" | "challenge" }>,
  { ack, id, correlationId }: { readonly ack: Ack; readonly id: string; readonly correlationId: string },
): FastifyReply {
  reply.header("x-correlation-id", correlationId);
  const answer = outcome.answer ?? ack;
  reply.code(answer.status);
  if (answer.kind === "receipt") {
    return reply.header("content-type", "application/json").send(`{"status":"${outcome.kind}","requestId":"${id}"}`);
  }
  if (answer.contentType === undefined) return reply.send();
  // as bytes: to text, Fastify would add a charset that the provider did not ask for
  return reply.header("content-type", answer.contentType).send(Buffer.from(answer.body, "utf8"));
}

const failures = {
  store: "WEBHOOK_STORE_UNAVAILABLE",
  internal: "INTERNAL",
  secrets: "WEBHOOK_SECRETS_NOT_CURRENT",
  source: "WEBHOOK_SOURCE_UNAVAILABLE",
} as const satisfies Record<string, ErrorCode>;

/** Our own failure is always 503: senders that retry keep the webhook for us. */
export function answerFailed(reply: FastifyReply, why: keyof typeof failures, correlationId: string): FastifyReply {
  return sendProblem(reply, 503, failures[why], { correlationId, retryAfterSeconds: 5 });
}

/** Authentic, but more than its source takes now: not kept, so that its sender comes again. */
export function answerLimited(reply: FastifyReply, retryAfterMs: number, correlationId: string): FastifyReply {
  const retryAfterSeconds = Math.ceil(retryAfterMs / 1000);
  return sendProblem(reply, 429, "WEBHOOK_RATE_LIMITED", { correlationId, retryAfterSeconds });
}

export function answerOverloaded(reply: FastifyReply, correlationId: string): FastifyReply {
  return sendProblem(reply, 503, "WEBHOOK_OVERLOADED", { correlationId, retryAfterSeconds: 1 });
}

/** Every code that `/webhooks/:source` answers with, and its status. */
export const webhookErrors: Readonly<Partial<Record<ErrorCode, number>>> = {
  ...Object.fromEntries(Object.values(refusals).map(({ code, status }) => [code, status])),
  ...Object.fromEntries(Object.values(failures).map((code) => [code, 503])),
  WEBHOOK_OVERLOADED: 503,
  WEBHOOK_RATE_LIMITED: 429,
  HTTP_BAD_REQUEST: 400,
};
