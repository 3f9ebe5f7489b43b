import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { JobDefinition } from "../define.ts";
import { JobDataError, JobError, JobOptionError, Snoozed } from "../errors.ts";
import type { HandlerParts, JobHandler } from "../handle.ts";
import type { Attempt } from "../job.ts";
import { count, parseOptions } from "../options.ts";
import { receiveError, type ThreadAnswer, type ThreadTask } from "./protocol.ts";
import { openLine } from "./thread-line.ts";
import { createThreadPool, type ThreadPool } from "./thread-pool.ts";

export interface ThreadOptions {
  /** How many threads; also the most of these jobs at once in the worker. Default: the machine's processors less one, at least 1. */
  readonly threads?: number;
  /** Which export of the file is the handler. Default `run`. */
  readonly export?: string;
  /** Definitions that the handler names in `job.enqueue` and `job.flow`. Default none. */
  readonly definitions?: readonly JobDefinition[];
  /** The handler begins only when its claim is on disk; see `handle`. Default `false`. */
  readonly durableStart?: boolean;
  /** Largest old-generation heap of a thread, in MiB; beyond it the thread dies and the attempt fails. Default: Node's. */
  readonly maxHeapMb?: number;
  /** After so many jobs a thread each, the threads are made anew, without a pause. Default never. */
  readonly recycleAfterJobs?: number;
}

const threadOptions = z.strictObject({
  threads: count.max(1_000).optional(),
  export: z.string().min(1).default("run"),
  definitions: z.array(z.unknown()).default([]),
  durableStart: z.boolean().default(false),
  maxHeapMb: z.number().int().min(8).max(1_048_576).optional(),
  recycleAfterJobs: count.optional(),
});

/**
 * Handles a definition in worker threads, for work that would block the event loop. The file exports `run: ThreadHandler<typeof
 * definition>`; it may be TypeScript that Node can run as it is. Past `hardTimeoutMs` its thread is killed and replaced.
 * @throws JobOptionError when the file is missing or an option is wrong; `worker.start` throws `JOB_THREAD_HANDLER_INVALID` when it
 * cannot be loaded or exports no such function.
 */
export function handleInThread(definition: JobDefinition, file: URL, options: ThreadOptions = {}): JobHandler {
  const parsed = parseOptions("handleInThread", threadOptions, options);
  const href = existing(file);
  const { threads = Math.max(1, availableParallelism() - 1), maxHeapMb, recycleAfterJobs } = parsed;
  const definitions = options.definitions ?? [];
  const target = { file: href, exportName: parsed.export };
  const kills = new Map<Attempt, AbortController>();
  let pool: ThreadPool | undefined;

  async function run(attempt: Attempt): Promise<unknown> {
    if (pool === undefined) throw new JobError("WORKER_STATE_INVALID", "the handler's worker was not started");
    const kill = new AbortController();
    kills.set(attempt, kill);
    const line = openLine(attempt, definitions);
    try {
      const task: ThreadTask = { kind: "run", ...target, job: factsOf(attempt), port: line.remote };
      const answer = await pool.run(task, { transfer: [line.remote], kill: kill.signal });
      await line.ended;
      return read(answer, attempt);
    } finally {
      kills.delete(attempt);
      line.close();
    }
  }

  return {
    definition,
    durableStart: parsed.durableStart,
    run,
    concurrency: threads,
    async open({ log, metrics }: HandlerParts) {
      const count = threadCounter(metrics);
      const of = (event: string) => () => count.inc({ job: definition.name, event });
      const opened = createThreadPool({
        target,
        threads,
        maxHeapMb,
        recycleAfterJobs,
        log,
        died: of("died"),
        recycled: of("recycled"),
      });
      try {
        await opened.open();
      } catch (error) {
        await opened[Symbol.asyncDispose]();
        throw error;
      }
      pool = opened;
    },
    ready: () => pool?.ready(),
    abandon: (attempt) => kills.get(attempt)?.abort(),
    async close() {
      await pool?.[Symbol.asyncDispose]();
      pool = undefined;
    },
  };
}

function threadCounter(metrics: HandlerParts["metrics"]): ReturnType<HandlerParts["metrics"]["counter"]> {
  return metrics.counter({
    name: "warren_worker_thread_events_total",
    help: "Worker threads that died of a job, and pools that were made anew",
    labels: ["job", "event"],
  });
}

function existing(file: URL): string {
  const path = file instanceof URL && file.protocol === "file:" ? fileURLToPath(file) : undefined;
  if (path !== undefined && existsSync(path)) return file.href;
  throw new JobOptionError(
    "JOB_OPTION_INVALID",
    path === undefined
      ? 'handleInThread: "file": expected a file URL, such as new URL("./handler.ts", import.meta.url)'
      : `handleInThread: "file": ${path} does not exist`,
    { details: { path: "file" } },
  );
}

function factsOf(attempt: Attempt) {
  const { id, name, version, queue, payload, fence, maxAttempts, correlationId, givenId, key, deadline } = attempt;
  const number = attempt.attempt;
  return {
    id,
    name,
    version,
    queue,
    payload,
    attempt: number,
    fence,
    maxAttempts,
    correlationId,
    givenId,
    key,
    deadline,
  };
}

/** What the thread's answer means here. */
function read(answer: ThreadAnswer, attempt: Attempt): unknown {
  switch (answer.kind) {
    case "returned":
      return answer.json === undefined ? undefined : JSON.parse(answer.json);
    case "unserialisable":
      throw new JobDataError(
        "JOB_RESULT_UNSERIALISABLE",
        `the result of ${attempt.name} cannot be written as JSON: ${answer.why}`,
      );
    case "snoozed":
      throw new Snoozed(answer.delayMs);
    case "aborted":
      throw attempt.aborted ?? new JobError("JOB_THREAD_CRASHED", "aborted without a reason", { retryable: true });
    case "threw":
      throw receiveError(answer.error);
    case "unusable":
      throw new JobError("JOB_THREAD_HANDLER_INVALID", answer.why);
    case "usable":
      return undefined;
    default:
      return answer satisfies never;
  }
}
