import { z } from "zod";
import { assertDefined, type JobDefinition, type ParsedPayloadOf, type ResultOf } from "./define.ts";
import { JobError, JobOptionError } from "./errors.ts";
import type { JobHandler } from "./handle.ts";
import type { Attempt, Job } from "./job.ts";
import { assertFunction, count, parseOptions } from "./options.ts";

export interface BatchOptions {
  /** The most jobs in a call, 2 to 10,000; the worker needs as many slots. */
  readonly maxSize: number;
  /** How long the first job of a batch waits for others, in milliseconds. Less than the definition's `timeoutMs`. */
  readonly maxWaitMs: number;
  /** The batches begin only when the claims are on disk; see `handle`. Default `false`. */
  readonly durableStart?: boolean;
}

const batchOptions = z.strictObject({
  maxSize: count.min(2).max(10_000),
  maxWaitMs: z.number().int().min(0).max(600_000),
  durableStart: z.boolean().default(false),
});

/** What became of one job of a batch; what `Promise.allSettled` gives is one. */
export type BatchResult<Result> = PromiseSettledResult<Result>;

/** This job of the batch succeeded. */
export function succeeded<Result>(value: Result): PromiseFulfilledResult<Result> {
  return { status: "fulfilled", value };
}

/** This job of the batch failed, as if its handler had thrown the error. */
export function failed(reason: unknown): PromiseRejectedResult {
  return { status: "rejected", reason };
}

/**
 * Handles jobs together: `run` gets up to `maxSize` of them and answers for each, in the same order. Each job keeps its own attempt, fence,
 * signal and time limits, and ends on its own: with its result, or by what it failed with (an error is retried by its own backoff,
 * `NonRetryableError` ends it, a `snooze` thrown inside `Promise.allSettled` postpones it). A throw of `run` fails all of them. A job without
 * an answer fails with `JOB_BATCH_RESULT_MISSING`.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`.
 */
export function handleBatch<Definition extends JobDefinition>(
  definition: Definition,
  options: BatchOptions,
  run: (
    jobs: readonly Job<ParsedPayloadOf<Definition>, ResultOf<Definition>>[],
  ) => Promise<readonly BatchResult<ResultOf<Definition>>[]>,
): JobHandler {
  assertDefined("handleBatch", definition);
  assertFunction("handleBatch", "run", run);
  const { maxSize, maxWaitMs, durableStart } = parseOptions("handleBatch", batchOptions, options);
  if (maxWaitMs >= definition.timeoutMs) {
    throw new JobOptionError(
      "JOB_OPTION_INVALID",
      `handleBatch: "maxWaitMs": expected less than timeoutMs (${definition.timeoutMs}), got ${maxWaitMs}`,
      { details: { path: "maxWaitMs" } },
    );
  }
  return {
    definition,
    durableStart,
    leastSlots: maxSize,
    // the executor parsed the payloads with this definition's schema, and checks the results with it
    run: createBatch(maxSize, maxWaitMs, (attempts) =>
      run(attempts as unknown as readonly Job<ParsedPayloadOf<Definition>, ResultOf<Definition>>[]),
    ),
  };
}

interface Item {
  readonly attempt: Attempt;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

type RunAll = (attempts: readonly Attempt[]) => Promise<unknown>;

function createBatch(maxSize: number, maxWaitMs: number, run: RunAll): (attempt: Attempt) => Promise<unknown> {
  let open: Item[] = [];
  let timer: NodeJS.Timeout | undefined;

  function start(): void {
    clearTimeout(timer);
    timer = undefined;
    // whose signal aborted while they waited are not worth the call
    const items = open.filter(({ attempt, reject }) => {
      if (attempt.aborted !== undefined) reject(attempt.aborted);
      return attempt.aborted === undefined;
    });
    open = [];
    if (items.length > 0) void perform(items);
  }

  async function perform(items: readonly Item[]): Promise<void> {
    try {
      const results = await run(items.map(({ attempt }) => attempt));
      const answers: readonly unknown[] = Array.isArray(results) ? results : [];
      for (const [index, item] of items.entries()) conclude(item, answers[index], index);
    } catch (error) {
      for (const { reject } of items) reject(error);
    }
  }

  return (attempt) =>
    new Promise((resolve, reject) => {
      open.push({ attempt, resolve, reject });
      if (open.length >= maxSize) start();
      else timer ??= setTimeout(start, maxWaitMs);
    });
}

const answer = z.union([
  z.object({ status: z.literal("fulfilled"), value: z.unknown() }),
  z.object({ status: z.literal("rejected"), reason: z.unknown() }),
]);

function conclude({ attempt, resolve, reject }: Item, given: unknown, index: number): void {
  const parsed = answer.safeParse(given);
  if (!parsed.success) {
    const message = `the batch handler of ${attempt.name} gave no result for its job number ${index}`;
    reject(new JobError("JOB_BATCH_RESULT_MISSING", message, { retryable: true, details: { index } }));
  } else if (parsed.data.status === "fulfilled") resolve(parsed.data.value);
  else reject(parsed.data.reason);
}
