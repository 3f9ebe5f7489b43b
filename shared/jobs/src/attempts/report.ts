import type { Settled } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { AttemptOutcome, JobInstruments } from "../instruments.ts";
import { type Attempt, countedAttempt } from "../job.ts";
import type { Verdict } from "./verdict.ts";

/** Counts and logs what became of an attempt. Success is logged at debug: a line a job costs more than claiming it. */
export function report(
  attempt: Attempt,
  verdict: Verdict,
  settled: Settled | "abandoned",
  { instruments, log }: { readonly instruments: JobInstruments; readonly log: Logger },
): void {
  const outcome = labelOf(attempt, verdict, settled);
  instruments.attempt(outcome);
  if (outcome === "succeeded" && !log.isLevelEnabled("debug")) return;
  const facts = {
    jobId: attempt.id,
    job: attempt.name,
    queue: attempt.queue,
    attempt: countedAttempt(attempt.claimed),
    correlationId: attempt.correlationId,
    outcome,
    ...("error" in verdict ? { error: verdict.error } : {}),
    ...(verdict.kind === "dead" || verdict.kind === "cancelled" ? { reason: verdict.reason } : {}),
    ...("delayMs" in verdict ? { delayMs: verdict.delayMs } : {}),
  };
  switch (outcome) {
    case "succeeded":
      log.debug(facts, "job succeeded");
      return;
    case "fenced":
      log.warn(facts, "outcome refused: the job is no longer this attempt's");
      return;
    case "dead":
      log.error(facts, "job is dead");
      return;
    case "retrying":
    case "abandoned":
      log.warn(facts, "attempt failed");
      return;
    case "cancelled":
      log.info(facts, "job cancelled");
      return;
    case "snoozed":
    case "held":
    case "returned":
      log.info(facts, "attempt excused: the job runs again later");
      return;
    default:
      outcome satisfies never;
  }
}

function labelOf(attempt: Attempt, verdict: Verdict, settled: Settled | "abandoned"): AttemptOutcome {
  if (settled === "abandoned") return "abandoned";
  // after a committed `complete` the ledger refuses every other outcome: the job has succeeded already
  if (attempt.completed && settled === "already") return "succeeded";
  return settled === "fenced" ? "fenced" : verdict.kind;
}
