import type { JobHandler } from "../handle.ts";
import type { Attempt } from "../job.ts";
import { type Cap, createCap } from "./cap.ts";
import type { Running } from "./running.ts";
import type { Outcome } from "./verdict.ts";

/** What a claimed job still waits for before its handler is called: a place under its definition's cap, and a handler that is ready. */
export interface Entrance {
  /** Calls `work` at once, or after that wait, in which the attempt can be given up like any other and its limits do not run. */
  enter(handler: JobHandler, attempt: Attempt, work: () => Promise<Outcome>): Promise<Outcome>;
}

/** `jobs` are looked at for the caps of their definitions. */
export function createEntrance(jobs: readonly JobHandler[], running: Pick<Running, "add">): Entrance {
  const caps = new Map<JobHandler, Cap>();
  for (const handler of jobs) if (handler.concurrency !== undefined) caps.set(handler, createCap(handler.concurrency));

  /** Answers how the attempt was given up meanwhile, if it was. */
  async function waitFor(attempt: Attempt, until: Promise<unknown>): Promise<Outcome | undefined> {
    const { promise, resolve } = Promise.withResolvers<Outcome | undefined>();
    running.add({ attempt, giveUp: resolve, waits: true });
    until.then(
      () => resolve(undefined),
      (error: unknown) => resolve({ kind: "threw", error }),
    );
    return (await promise) ?? abortedOutcome(attempt);
  }

  return {
    async enter(handler, attempt, work) {
      const cap = caps.get(handler);
      if (cap === undefined) return work();
      if (!cap.enter()) {
        const { promise: entered, resolve } = Promise.withResolvers<void>();
        const withdraw = cap.wait(resolve);
        const givenUp = await waitFor(attempt, entered);
        if (givenUp !== undefined) {
          if (!withdraw()) cap.leave();
          return givenUp;
        }
      }
      try {
        const ready = handler.ready?.();
        const givenUp = ready && (await waitFor(attempt, ready));
        return givenUp ?? (await work());
      } finally {
        cap.leave();
      }
    },
  };
}

/** Its signal aborted before its handler was called. */
function abortedOutcome({ aborted }: Attempt): Outcome | undefined {
  if (aborted === undefined) return undefined;
  return aborted.code === "JOB_WORKER_STOPPING" ? { kind: "stopping" } : { kind: "threw", error: aborted };
}
