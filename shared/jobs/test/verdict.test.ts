import { WarrenError } from "@warren/contracts";
import {
  ProviderBreakerOpenError,
  ProviderBulkheadFullError,
  ProviderRateLimitedError,
  ProviderRejectedError,
  ProviderTimeoutError,
} from "@warren/resilience";
import { describe, expect, test } from "vitest";
import { decide, judgeProbe, maxOffers, type Outcome, type RetryPolicy } from "../src/attempts/verdict.ts";
import { ClosedError, JobAbortedError, NonRetryableError, Snoozed } from "../src/errors.ts";
import { PayloadError, type PayloadErrorCode } from "../src/payloads/errors.ts";

const where = { provider: "smtp", operation: "send" };
const first: RetryPolicy = {
  attempt: 1,
  maxAttempts: 3,
  backoff: { kind: "fixed", delayMs: 100, jitter: "none" },
  probe: false,
  excused: 0,
  claims: 1,
  maxClaims: Number.POSITIVE_INFINITY,
};
const unopened = (code: PayloadErrorCode): Outcome => ({ kind: "unopened", error: new PayloadError(code, "no luck") });
const threw = (error: unknown): Outcome => ({ kind: "threw", error });
const half = (): number => 0.5;

describe("decide", () => {
  test.for<{ when: string; outcome: Outcome; policy?: Partial<RetryPolicy>; verdict: object }>([
    {
      when: "the handler returned",
      outcome: { kind: "returned", result: 7 },
      verdict: { kind: "succeeded", result: 7 },
    },
    { when: "it returned nothing", outcome: { kind: "returned", result: undefined }, verdict: { kind: "succeeded" } },
    { when: "it threw", outcome: threw(new Error("no")), verdict: { kind: "retrying", delayMs: 100 } },
    {
      when: "it threw a string",
      outcome: threw("no"),
      verdict: { kind: "retrying", error: { code: "JOB_FAILED", message: "no" } },
    },
    { when: "it threw undefined", outcome: threw(undefined), verdict: { kind: "retrying" } },
    {
      when: "it used a client that was closed: another process may do it",
      outcome: threw(new ClosedError("enqueue: the client")),
      verdict: { kind: "retrying", error: { code: "WARREN_CLOSED" } },
    },
    {
      when: "it threw at its last attempt",
      outcome: threw(new Error("no")),
      policy: { attempt: 3 },
      verdict: { kind: "dead", reason: "JOB_ATTEMPTS_EXHAUSTED" },
    },
    {
      when: "only one attempt is allowed",
      outcome: threw(new Error("no")),
      policy: { maxAttempts: 1 },
      verdict: { kind: "dead", reason: "JOB_ATTEMPTS_EXHAUSTED" },
    },
    {
      when: "its own backoff chose a delay",
      outcome: threw(new Error("no")),
      policy: { backoff: { kind: "chosen", delayMs: 7 } },
      verdict: { kind: "retrying", delayMs: 7 },
    },
    {
      when: "its own backoff stopped",
      outcome: threw(new Error("no")),
      policy: { backoff: { kind: "stop" } },
      verdict: { kind: "dead", reason: "JOB_BACKOFF_STOPPED" },
    },
    {
      when: "the error can never succeed",
      outcome: threw(new NonRetryableError("no such person")),
      verdict: { kind: "dead", reason: "JOB_NOT_RETRYABLE" },
    },
    {
      when: "a Warren error is not retryable",
      outcome: threw(new WarrenError("PAYMENT_MISMATCH", "amounts differ")),
      verdict: { kind: "dead", reason: "PAYMENT_MISMATCH" },
    },
    {
      when: "a Warren error is retryable",
      outcome: threw(new WarrenError("PAYMENT_BEHIND", "not yet", { retryable: true })),
      verdict: { kind: "retrying", error: { code: "PAYMENT_BEHIND" } },
    },
    {
      when: "the error can never succeed, for a reason of its own",
      outcome: threw(new NonRetryableError("stolen", { reason: "CARD_STOLEN" })),
      verdict: { kind: "dead", reason: "CARD_STOLEN", error: { code: "JOB_NOT_RETRYABLE" } },
    },
    {
      when: "the reason is no code",
      outcome: threw(new NonRetryableError("stolen", { reason: "it was stolen" })),
      verdict: { kind: "dead", reason: "JOB_NOT_RETRYABLE" },
    },
    { when: "it snoozed", outcome: threw(new Snoozed(30)), verdict: { kind: "snoozed", delayMs: 30 } },
    {
      when: "it snoozed at the start before its last",
      outcome: threw(new Snoozed(30)),
      policy: { claims: 9, maxClaims: 10 },
      verdict: { kind: "snoozed" },
    },
    {
      when: "it snoozed at its last start",
      outcome: threw(new Snoozed(30)),
      policy: { claims: 10, maxClaims: 10 },
      verdict: { kind: "dead", reason: "JOB_CLAIMS_EXHAUSTED" },
    },
    {
      when: "it snoozed at its last attempt",
      outcome: threw(new Snoozed(30)),
      policy: { attempt: 3 },
      verdict: { kind: "snoozed", delayMs: 30 },
    },
    {
      when: "it ran out of time",
      outcome: threw(new JobAbortedError("JOB_TIMEOUT", "slow")),
      verdict: { kind: "retrying", error: { code: "JOB_TIMEOUT" } },
    },
    { when: "the worker stops", outcome: { kind: "stopping" }, policy: { attempt: 3 }, verdict: { kind: "returned" } },
    {
      when: "the payload does not fit",
      outcome: { kind: "unusable", code: "JOB_PAYLOAD_INVALID", message: "payload.to: missing" },
      verdict: { kind: "dead", reason: "JOB_PAYLOAD_INVALID", error: { message: "payload.to: missing" } },
    },
    {
      when: "nobody here handles it",
      outcome: { kind: "unhandled", name: "x", version: 2, known: [1, 2] },
      policy: { excused: 3 },
      verdict: { kind: "snoozed", delayMs: 8_000, error: { code: "JOB_UNKNOWN" } },
    },
    {
      when: "nobody has handled it for long",
      outcome: { kind: "unhandled", name: "x", version: 2, known: [1, 2] },
      policy: { excused: maxOffers },
      verdict: { kind: "dead", reason: "JOB_UNKNOWN", error: { message: expect.stringContaining("handles 1, 2") } },
    },
    {
      when: "its payload is under a key that this worker does not have",
      outcome: unopened("PAYLOAD_KEY_UNKNOWN"),
      policy: { excused: 2 },
      verdict: { kind: "snoozed", delayMs: 4_000, error: { code: "PAYLOAD_KEY_UNKNOWN" } },
    },
    {
      when: "its payload object has been missing for long",
      outcome: unopened("PAYLOAD_OBJECT_MISSING"),
      policy: { excused: maxOffers },
      verdict: { kind: "dead", reason: "PAYLOAD_OBJECT_MISSING", error: { message: "no luck" } },
    },
    {
      when: "the payload store has been down for days",
      outcome: unopened("PAYLOAD_STORE_UNAVAILABLE"),
      policy: { excused: 5_000, attempt: 5 },
      verdict: { kind: "snoozed", delayMs: 60_000 },
    },
    {
      when: "a breaker is open",
      outcome: threw(new ProviderBreakerOpenError(where)),
      policy: { attempt: 3 },
      verdict: { kind: "held", breaker: "smtp:send" },
    },
    {
      when: "a breaker is open behind another error",
      outcome: threw(new Error("mail not sent", { cause: new ProviderBreakerOpenError(where) })),
      verdict: { kind: "held", breaker: "smtp:send" },
    },
    {
      when: "the provider was too slow",
      outcome: threw(new ProviderTimeoutError(10, where)),
      verdict: { kind: "retrying", error: { code: "PROVIDER_TIMEOUT" } },
    },
    {
      when: "the provider was too slow for a probe",
      outcome: threw(new ProviderTimeoutError(10, where)),
      policy: { probe: true, attempt: 3 },
      verdict: { kind: "held", breaker: "smtp:send" },
    },
    {
      when: "the provider asked to wait",
      outcome: threw(new ProviderRateLimitedError({ ...where, retryAfterMs: 5_000 })),
      verdict: { kind: "retrying", delayMs: 5_000 },
    },
    {
      when: "the provider refused",
      outcome: threw(new ProviderRejectedError("no", where)),
      verdict: { kind: "dead", reason: "PROVIDER_REJECTED" },
    },
    {
      when: "the bulkhead is full",
      outcome: threw(new ProviderBulkheadFullError(where)),
      policy: { attempt: 3 },
      verdict: { kind: "snoozed", delayMs: 1_000 },
    },
    {
      when: "its own transaction was rolled back",
      outcome: { kind: "completed" },
      verdict: { kind: "retrying", error: { code: "JOB_COMPLETION_ROLLED_BACK" } },
    },
  ])("when $when, the verdict is $verdict.kind", ({ outcome, policy, verdict }) => {
    expect(decide(outcome, { ...first, ...policy }, half)).toMatchObject(verdict);
  });

  test("an error is kept bounded, and without what Postgres refuses", () => {
    const error = new Error(`a\u0000b\ud800${"x".repeat(5_000)}`);
    const verdict = decide(threw(error), first, half);
    const kept = verdict.kind === "retrying" ? verdict.error : undefined;
    expect(kept?.message.startsWith("a\uFFFDb\uFFFDx")).toBe(true);
    expect(kept?.message.length).toBeLessThan(2_100);
    expect(kept?.stack?.length).toBeLessThan(4_100);
  });
});

describe("judgeProbe", () => {
  test.for<{ when: string; outcome: Outcome; finding: unknown }>([
    { when: "succeeded", outcome: { kind: "returned", result: 1 }, finding: undefined },
    { when: "completed in its transaction", outcome: { kind: "completed" }, finding: undefined },
    { when: "was refused", outcome: threw(new ProviderRejectedError("no", where)), finding: { state: "closed" } },
    {
      when: "met a dead provider",
      outcome: threw(new ProviderTimeoutError(10, { ...where, retryAfterMs: 9 })),
      finding: { state: "open", retryAfterMs: 9 },
    },
    { when: "failed by itself", outcome: threw(new Error("bug")), finding: { state: "open", retryAfterMs: 5_000 } },
    { when: "was handed back", outcome: { kind: "stopping" }, finding: { state: "open", retryAfterMs: 5_000 } },
  ])("a probe that $when", ({ outcome, finding }) => {
    expect(judgeProbe(outcome)).toEqual(finding);
  });
});
