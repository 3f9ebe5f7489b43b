import { setTimeout as sleep } from "node:timers/promises";
import { createBatcher, type JobEnd, type Ledger } from "@warren/ledger";
import { JobError } from "../errors.ts";
import { openResult } from "../payloads/payload.ts";
import type { Payloads } from "../payloads/seal.ts";
import type { Watching } from "./watching.ts";

interface WaitRequest {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

export interface Waiting {
  end(id: string): Promise<JobEnd>;
  wait(id: string, request: WaitRequest): Promise<unknown>;
}

const firstPauseMs = 100;
const longestPauseMs = 2_000;

/** Waits for ends of jobs: woken by what their workers tell, and by looking into the ledger in any case. Concurrent looks share a statement. */
export function createWaiting(
  ledger: Pick<Ledger, "control">,
  watching: Watching | undefined,
  payloads: Payloads,
): Waiting {
  const looks = createBatcher<string, JobEnd>({ name: "job_ends", run: (ids) => ledger.control.results.ends(ids) });

  async function end(id: string): Promise<JobEnd> {
    const found = await looks.add(id);
    if (found.kind !== "succeeded") return found;
    return { ...found, result: await openResult(found, payloads) };
  }

  async function untilFinished(id: string, over: AbortSignal, seen: (state: string) => void): Promise<JobEnd> {
    let found = await end(id);
    if (found.kind !== "unfinished") return found;
    let wake = new AbortController();
    await using stack = new AsyncDisposableStack();
    if (watching !== undefined) stack.use(await watching.open({ jobId: id }, () => wake.abort()));
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 1.5)) {
      // it may have ended before anybody was told to tell
      found = await end(id);
      if (found.kind !== "unfinished") return found;
      seen(found.state);
      await sleep(pauseMs, undefined, { signal: AbortSignal.any([over, wake.signal]) }).catch(() => undefined);
      over.throwIfAborted();
      if (wake.signal.aborted) wake = new AbortController();
    }
  }

  return {
    end,
    async wait(id, { timeoutMs, signal }) {
      signal?.throwIfAborted();
      const timeout = AbortSignal.timeout(timeoutMs);
      const over = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
      let state: string | undefined;
      const seen = (now: string): void => {
        state = now;
      };
      try {
        return resultOf(await untilFinished(id, over, seen));
      } catch (error) {
        if (error !== timeout.reason) throw error;
        const details = { jobId: id, timeoutMs, state };
        const stands = state === undefined ? "" : `: it is ${state}`;
        throw new JobError("JOB_WAIT_TIMEOUT", `job ${id} has not finished within ${timeoutMs} ms${stands}`, {
          retryable: true,
          details,
        });
      }
    },
  };
}

/** @throws JobError what became of the job, unless it has succeeded. */
function resultOf(end: JobEnd): unknown {
  const { id } = end;
  switch (end.kind) {
    case "succeeded":
      return end.result;
    case "expired":
      throw new JobError("JOB_RESULT_EXPIRED", `the result of job ${id} is no longer kept`, { details: { jobId: id } });
    case "missing":
      throw new JobError("JOB_NOT_FOUND", `no job ${id}: wrong id, or its history is past retention`, {
        details: { jobId: id },
      });
    case "unfinished":
      throw new RangeError(`job ${id} is ${end.state}`);
    case "dead":
    case "cancelled": {
      const { reason, by, lastError } = end;
      const code = end.kind === "dead" ? "JOB_DEAD" : "JOB_CANCELLED";
      const why = lastError === undefined ? "" : `: ${lastError.message}`;
      const details = { jobId: id, reason, by, lastError };
      throw new JobError(code, `job ${id} is ${end.kind} (${reason ?? "no reason"})${why}`, { details });
    }
    default:
      return end satisfies never;
  }
}
