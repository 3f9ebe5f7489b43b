import type { BeatAnswer, CancelRequest } from "@warren/ledger";
import type { Running } from "../attempts/running.ts";
import type { Outcome } from "../attempts/verdict.ts";
import { JobAbortedError, Snoozed } from "../errors.ts";

const againMs = 200;

/**
 * Aborts what the ledger wants cancelled. A job that is not here yet was claimed by a statement whose answer is on its way: `lookAgain` soon.
 */
export function abortCancelled(running: Running, { cancels }: BeatAnswer, lookAgain: () => void): void {
  const unknown = cancels.filter((cancel) => !running.abortOne(cancel.id, cancel.attempt, cancelReason(cancel)));
  if (unknown.length > 0) setTimeout(lookAgain, againMs).unref();
}

/** The reason with which the signal of a cancelled attempt aborts. */
function cancelReason({ reason, by }: Pick<CancelRequest, "reason" | "by">): JobAbortedError {
  const who = by === undefined ? "" : ` by ${by}`;
  return new JobAbortedError("JOB_CANCELLED", `the job was cancelled${who}: ${reason}`, { reason, by });
}

/**
 * What the end of an attempt means once its job was cancelled: whatever it threw after its signal had aborted, it is not tried again. Its own
 * error is kept, unless it only repeats the cancelling. A handler that ignores the signal and returns has succeeded. Pure.
 */
export function afterCancel(outcome: Outcome, aborted: JobAbortedError | undefined): Outcome {
  if (aborted?.code !== "JOB_CANCELLED") return outcome;
  const reason = String(aborted.details["reason"]);
  if (outcome.kind === "threw") {
    const isEcho = outcome.error === aborted || outcome.error instanceof Snoozed;
    return { kind: "cancelled", reason, error: isEcho ? undefined : outcome.error };
  }
  const isUndone = outcome.kind === "stopping" || outcome.kind === "unhandled" || outcome.kind === "unopened";
  return isUndone ? { kind: "cancelled", reason, error: undefined } : outcome;
}
