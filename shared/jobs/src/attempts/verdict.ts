import { type ErrorCode, WarrenError } from "@warren/contracts";
import type { JobError as JobFailure, Outcome as LedgerOutcome } from "@warren/ledger";
import { type BackoffRule, backoffDelayMs } from "../backoff.ts";
import { NonRetryableError, Snoozed } from "../errors.ts";
import type { PayloadError } from "../payloads/errors.ts";
import { describeFailure, failure, providerFailure, retryAfterOf } from "./failure.ts";

/** How an attempt ended, as the executor saw it. */
export type Outcome =
  | { readonly kind: "returned"; readonly result: unknown }
  /** The handler called `job.complete` in its own transaction and returned; only the ledger knows whether that committed. */
  | { readonly kind: "completed" }
  | { readonly kind: "threw"; readonly error: unknown }
  /** Its signal was aborted because somebody cancelled the job, and it did not succeed all the same. */
  | { readonly kind: "cancelled"; readonly reason: string; readonly error: unknown }
  /** Its signal was aborted because the worker stops, and it did not finish. */
  | { readonly kind: "stopping" }
  /** Payload or result cannot be used, now or later. */
  | { readonly kind: "unusable"; readonly code: ErrorCode; readonly message: string }
  /** This worker has no handler for the name and version. */
  | {
      readonly kind: "unhandled";
      readonly name: string;
      readonly version: number;
      /** The versions of that name that this worker does handle. */
      readonly known: readonly number[];
    }
  /** Its sealed payload could not be opened; the handler was not called. */
  | { readonly kind: "unopened"; readonly error: PayloadError };

/** What the job's definition and its row say about failing. */
export interface RetryPolicy {
  /** The attempt that ended, from 1, without the excused ones. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** A rule, or what the job's own backoff function answered. */
  readonly backoff: BackoffRule | { readonly kind: "chosen"; readonly delayMs: number } | { readonly kind: "stop" };
  /** Whether the job was let through an open breaker to try the provider. */
  readonly probe: boolean;
  /** How often the job was handed back, snoozed, held or stalled so far. */
  readonly excused: number;
  /** How often the job was started, excused or not, and how often it may be; `Infinity` without a limit. */
  readonly claims: number;
  readonly maxClaims: number;
}

/** What becomes of the job: an outcome of the ledger's `settle`. */
export type Verdict = LedgerOutcome;

/** How often a job that no worker handles is offered again: 1 s, 2 s, 4 s … 60 s apart, about 20 minutes in all. */
export const maxOffers = 25;
const longestOfferDelayMs = 60_000;
const longestRetryAfterMs = 24 * 3_600_000;
const bulkheadDelayMs = 1_000;
/** Failures that say the provider, not the job, is at fault. */
const providerFaults = new Set(["PROVIDER_TIMEOUT", "PROVIDER_UNAVAILABLE", "PROVIDER_RATE_LIMITED"]);

/** Decides what becomes of an attempt. Total: every outcome has exactly one verdict. Pure. */
export function decide(outcome: Outcome, policy: RetryPolicy, random: () => number): Verdict {
  switch (outcome.kind) {
    case "returned":
      return { kind: "succeeded", result: outcome.result };
    case "completed":
      // applied only if the handler's transaction did not commit; otherwise the ledger answers that the job is finished
      return retryOrDead(
        failure("JOB_COMPLETION_ROLLED_BACK", "the transaction that completed the job was rolled back"),
        policy,
        0,
        random,
      );
    case "cancelled":
      return outcome.error === undefined
        ? { kind: "cancelled", reason: outcome.reason }
        : { kind: "cancelled", reason: outcome.reason, error: describeFailure(outcome.error) };
    case "stopping":
      return { kind: "returned" };
    case "unusable":
      return { kind: "dead", reason: outcome.code, error: failure(outcome.code, outcome.message) };
    case "unhandled":
      return decideUnhandled(outcome, policy);
    case "unopened":
      return decideUnopened(outcome.error, policy);
    case "threw":
      return decideThrown(outcome.error, policy, random);
    default:
      return outcome satisfies never;
  }
}

function decideThrown(error: unknown, policy: RetryPolicy, random: () => number): Verdict {
  if (error instanceof Snoozed) return later(error.delayMs, policy);
  const described = describeFailure(error);
  const provider = providerFailure(error);
  if (provider !== undefined) {
    const held = provider.code === "PROVIDER_BREAKER_OPEN" || (policy.probe && providerFaults.has(provider.code));
    if (held) return { kind: "held", breaker: provider.breaker, error: described };
    if (provider.code === "PROVIDER_BULKHEAD_FULL") {
      return later(Math.round(bulkheadDelayMs * (0.5 + random())), policy);
    }
  }
  if (error instanceof WarrenError && !error.retryable) {
    const reason = error instanceof NonRetryableError ? error.reason : error.code;
    return { kind: "dead", reason, error: described };
  }
  return retryOrDead(described, policy, retryAfterOf(error) ?? provider?.retryAfterMs ?? 0, random);
}

/** An attempt that does not count; only the number of starts bounds how often. */
function later(delayMs: number, { claims, maxClaims }: RetryPolicy): Verdict {
  if (claims < maxClaims) return { kind: "snoozed", delayMs };
  const error = failure("JOB_CLAIMS_EXHAUSTED", `the job was started ${claims} times, and asked to be run later again`);
  return { kind: "dead", reason: "JOB_CLAIMS_EXHAUSTED", error };
}

function retryOrDead(error: JobFailure, policy: RetryPolicy, atLeastMs: number, random: () => number): Verdict {
  if (policy.attempt >= policy.maxAttempts) return { kind: "dead", reason: "JOB_ATTEMPTS_EXHAUSTED", error };
  if (policy.backoff.kind === "stop") return { kind: "dead", reason: "JOB_BACKOFF_STOPPED", error };
  const chosen =
    policy.backoff.kind === "chosen" ? policy.backoff.delayMs : backoffDelayMs(policy.backoff, policy.attempt, random);
  return { kind: "retrying", delayMs: Math.max(chosen, Math.min(atLeastMs, longestRetryAfterMs)), error };
}

/** During a deploy old workers meet new jobs: they hand them back for a newer worker, and only after long does the job die. */
function decideUnhandled(outcome: Extract<Outcome, { kind: "unhandled" }>, policy: RetryPolicy): Verdict {
  const { name, version, known } = outcome;
  const instead = known.length === 0 ? "no version of it" : known.join(", ");
  const error = failure("JOB_UNKNOWN", `this worker does not handle ${name} version ${version}; it handles ${instead}`);
  if (policy.excused >= maxOffers) return { kind: "dead", reason: "JOB_UNKNOWN", error };
  return { kind: "snoozed", delayMs: offerDelayMs(policy), error };
}

/**
 * A payload store that is down delays jobs for as long as it is; what an operator must mend (a key, a lost object) is tried as long as a
 * job that nobody handles. Either way the handler never ran, and no attempt is lost.
 */
function decideUnopened(error: PayloadError, policy: RetryPolicy): Verdict {
  const described = failure(error.code, error.message);
  if (!error.retryable && policy.excused >= maxOffers) return { kind: "dead", reason: error.code, error: described };
  return { kind: "snoozed", delayMs: offerDelayMs(policy), error: described };
}

function offerDelayMs({ excused }: RetryPolicy): number {
  return Math.min(longestOfferDelayMs, 1_000 * 2 ** Math.min(excused, 6));
}

/** What a probe's end says about the breaker it was let through. */
export type ProbeFinding = { readonly state: "closed" } | { readonly state: "open"; readonly retryAfterMs: number };

const probeAgainMs = 5_000;

/**
 * Judges a probe that did not succeed (success closes the breaker as it is settled): a refusal is an answer, so the provider is well;
 * a fault opens the breaker again; anything else found nothing out, and another probe goes soon. Pure.
 */
export function judgeProbe(outcome: Outcome): ProbeFinding | undefined {
  if (outcome.kind === "returned" || outcome.kind === "completed") return undefined;
  const provider = outcome.kind === "threw" ? providerFailure(outcome.error) : undefined;
  if (provider?.code === "PROVIDER_REJECTED") return { state: "closed" };
  return { state: "open", retryAfterMs: provider?.retryAfterMs ?? probeAgainMs };
}
