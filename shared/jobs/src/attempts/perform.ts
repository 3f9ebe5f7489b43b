import { JobAbortedError, Snoozed } from "../errors.ts";
import type { JobHandler } from "../handle.ts";
import type { Attempt } from "../job.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Open } from "./running.ts";
import type { Outcome } from "./verdict.ts";

/** A handler under way. */
export interface Performance extends Open {
  /** How it ended: by its handler, or because it was given up. Never rejects. */
  readonly outcome: Promise<Outcome>;
}

export interface PerformOptions {
  readonly handler: JobHandler;
  readonly attempt: Attempt;
  readonly deadlines: Deadlines;
  /** Calls the handler, inside its context and span. */
  readonly call: () => Promise<unknown>;
  /** The handler was given up but still runs; called again with `false` when it ends at last. */
  readonly abandoned: (still: boolean) => void;
}

/**
 * Runs a handler under its two limits: after `timeoutMs` its signal aborts, after `hardTimeoutMs` it has failed whether it returns or
 * not. JavaScript cannot stop it, so it may run on; what it then does to the job is refused by the fence.
 */
export function perform({ handler, attempt, deadlines, call, abandoned }: PerformOptions): Performance {
  const { timeoutMs, hardTimeoutMs } = handler.definition;
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  let state: "running" | "ended" | "abandoned" = "running";

  let deadline = deadlines.add(timeoutMs, () => {
    attempt.abort(new JobAbortedError("JOB_TIMEOUT", `the attempt ran longer than ${timeoutMs} ms`, { timeoutMs }));
    deadline = deadlines.add(hardTimeoutMs - timeoutMs, () => {
      const error = new JobAbortedError(
        "JOB_HARD_TIMEOUT",
        `the attempt ignored its signal and ran longer than ${hardTimeoutMs} ms`,
        { hardTimeoutMs },
      );
      giveUp({ kind: "threw", error });
    });
  });

  function end(outcome: Outcome): void {
    if (state === "running") {
      state = "ended";
      deadline.cancel();
      resolve(outcome);
    } else if (state === "abandoned") {
      state = "ended";
      abandoned(false);
    }
  }

  function giveUp(outcome: Outcome): void {
    if (state !== "running") return;
    state = "abandoned";
    deadline.cancel();
    abandoned(true);
    handler.abandon?.(attempt);
    resolve(outcome);
  }

  call().then(
    (result) => end(attempt.completed ? { kind: "completed" } : { kind: "returned", result }),
    (error: unknown) => end(readThrown(error, attempt.aborted)),
  );
  return { attempt, giveUp, outcome: promise };
}

/** What a throw means once the signal had aborted. */
function readThrown(error: unknown, aborted: JobAbortedError | undefined): Outcome {
  if (aborted === undefined || error instanceof Snoozed) return { kind: "threw", error };
  if (aborted.code === "JOB_WORKER_STOPPING") return { kind: "stopping" };
  // fetch, timers and streams throw an AbortError of their own instead of the signal's reason
  const isEcho = error === aborted || (error instanceof Error && error.name === "AbortError");
  return { kind: "threw", error: isEcho ? aborted : error };
}
