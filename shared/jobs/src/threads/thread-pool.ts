import { fileURLToPath } from "node:url";
import type { MessagePort } from "node:worker_threads";
import type { Logger } from "@warren/observability";
import { Piscina } from "piscina";
import { JobDataError, JobError } from "../errors.ts";
import type { ThreadAnswer, ThreadTask } from "./protocol.ts";

type RunOptions = NonNullable<Parameters<Piscina["run"]>[1]>;

export interface ThreadPoolOptions {
  readonly target: Pick<ThreadTask, "file" | "exportName">;
  readonly threads: number;
  readonly maxHeapMb: number | undefined;
  /** After so many jobs a thread each, all threads are made anew. */
  readonly recycleAfterJobs: number | undefined;
  /** The pool was made anew. */
  readonly recycled: () => void;
  /** A thread died of a job. */
  readonly died: () => void;
  readonly log: Logger;
}

/** Threads that run one task each at a time. A thread that dies or is killed is replaced. */
export interface ThreadPool extends AsyncDisposable {
  /** Starts the threads, and has each load the handler. @throws JobError `JOB_THREAD_HANDLER_INVALID`. */
  open(): Promise<void>;
  /** While a thread that has died is being replaced; the time of that is not the next job's. Never rejects. */
  ready(): Promise<unknown> | undefined;
  /**
   * Runs a task. `kill` ends its thread at once.
   * @throws JobError `JOB_THREAD_CRASHED`, `JOB_THREAD_OUT_OF_MEMORY`; JobDataError when the task cannot be cloned.
   */
  run(
    task: ThreadTask,
    options: { readonly transfer: readonly MessagePort[]; readonly kill: AbortSignal },
  ): Promise<ThreadAnswer>;
}

/** Threads from one making to the next. */
interface Generation {
  readonly pool: Piscina<ThreadTask, ThreadAnswer>;
  running: number;
  started: number;
  retired: boolean;
}

const threadMain = fileURLToPath(new URL("./thread-main.ts", import.meta.url));

export function createThreadPool(options: ThreadPoolOptions): ThreadPool {
  const { target, threads, maxHeapMb, recycleAfterJobs, log } = options;
  const ending = new Set<Promise<void>>();
  let current = generation();
  let renewing: Promise<void> | undefined;
  let replacing: Promise<unknown> | undefined;

  function generation(): Generation {
    const pool = new Piscina<ThreadTask, ThreadAnswer>({
      filename: threadMain,
      name: "run",
      minThreads: threads,
      maxThreads: threads,
      // with them a thread sleeps between tasks, and what a job left running there would stand still
      atomics: "disabled",
      recordTiming: false,
      ...(maxHeapMb === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: maxHeapMb } }),
    });
    pool.on("error", (error: unknown) => log.warn({ err: error }, "an idle worker thread died and was replaced"));
    return { pool, running: 0, started: 0, retired: false };
  }

  function retire(old: Generation): void {
    old.retired = true;
    if (old.running > 0) return;
    const end = old.pool.destroy().finally(() => ending.delete(end));
    ending.add(end);
  }

  async function load({ pool }: Generation): Promise<void> {
    const check: ThreadTask = { kind: "check", ...target };
    const answers = await Promise.all(Array.from({ length: threads }, () => pool.run(check)));
    for (const answer of answers)
      if (answer.kind === "unusable") throw new JobError("JOB_THREAD_HANDLER_INVALID", answer.why);
  }

  /** The pool starts another thread by itself; this has it load the handler before a job needs it. */
  function replace(own: Generation): void {
    if (own.retired) return;
    const work = Promise.all([replacing, warm(own)]).finally(() => {
      if (replacing === work) replacing = undefined;
    });
    replacing = work;
  }

  async function warm({ pool }: Generation): Promise<void> {
    try {
      await pool.run({ kind: "check", ...target });
    } catch (error) {
      log.warn({ err: error }, "a worker thread could not be replaced");
    }
  }

  /** Others take over when they are ready; until then jobs go to the old ones. */
  async function renew(): Promise<void> {
    const next = generation();
    try {
      await load(next);
      const used = current;
      current = next;
      options.recycled();
      retire(used);
    } catch (error) {
      log.warn({ err: error }, "worker threads were not made anew");
      retire(next);
    }
  }

  function pick(): Generation {
    if (recycleAfterJobs !== undefined && current.started >= recycleAfterJobs * threads) {
      renewing ??= renew().finally(() => {
        renewing = undefined;
      });
    }
    return current;
  }

  return {
    open: () => load(current),
    ready: () => replacing,
    async run(task, { transfer, kill }) {
      const own = pick();
      own.started += 1;
      own.running += 1;
      try {
        // piscina reads this type off @types/node, where newer versions show it another overload of `postMessage`
        const transferList = [...transfer] as unknown as Required<RunOptions>["transferList"];
        return await own.pool.run(task, { transferList, signal: kill });
      } catch (error) {
        if (error instanceof Error && error.name === "DataCloneError")
          throw new JobDataError(
            "JOB_PAYLOAD_UNSERIALISABLE",
            `the payload cannot be sent to a thread: ${error.message}`,
          );
        if (!kill.aborted) options.died();
        replace(own);
        throw died(error);
      } finally {
        own.running -= 1;
        if (own.retired && own.running === 0) retire(own);
      }
    },
    async [Symbol.asyncDispose]() {
      await renewing;
      await Promise.all([...ending, current.pool.destroy()]);
    },
  };
}

/** `thread-main` answers whatever the handler does, so a task without an answer means that its thread is gone. */
function died(error: unknown): JobError {
  const outOfMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  const message = error instanceof Error ? error.message : String(error);
  return new JobError(
    outOfMemory ? "JOB_THREAD_OUT_OF_MEMORY" : "JOB_THREAD_CRASHED",
    `the thread of the job ended: ${message}`,
    { retryable: true, cause: error },
  );
}
