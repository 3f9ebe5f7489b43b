import type { Logger, Metrics } from "@warren/observability";
import { z } from "zod";
import { assertDefined, isDefinition, type JobDefinition, type ParsedPayloadOf, type ResultOf } from "./define.ts";
import { JobOptionError } from "./errors.ts";
import type { Attempt, Job } from "./job.ts";
import { assertFunction, count, parseOptions } from "./options.ts";

/**
 * A definition with what does the work, its types hidden, ready for a worker. Make it with `handle`, `handleBatch` or `handleInThread`. A
 * handler that holds resources belongs to one worker, which opens it and lets it go.
 */
export interface JobHandler {
  readonly definition: JobDefinition;
  /** Runs the handler; the attempt's payload must have come out of the definition's schema. */
  readonly run: (attempt: Attempt) => unknown;
  /** The most of this definition's jobs at once in the worker. Default: the worker's concurrency. */
  readonly concurrency?: number;
  /** Its jobs, and those that share its queue, begin only when their claims are on disk. */
  readonly durableStart?: boolean;
  /** How many slots the worker needs at least for it. */
  readonly leastSlots?: number;
  /** Called before the worker takes jobs. A throw ends the worker's start. */
  readonly open?: (parts: HandlerParts) => Promise<void>;
  /** When it can begin another job, if not at once; asked before each. The job's time limits begin after it. */
  readonly ready?: () => Promise<unknown> | undefined;
  /** The attempt was given up while `run` had not ended; whatever can be stopped by force is stopped now. */
  readonly abandon?: (attempt: Attempt) => void;
  /** Lets go; after the worker has drained. */
  readonly close?: () => Promise<void>;
}

/** What a worker gives a handler that it opens. */
export interface HandlerParts {
  readonly log: Logger;
  readonly metrics: Metrics;
}

export interface HandleOptions {
  /**
   * The most of this definition's jobs at once in one worker. Default: as many as the worker has slots. Give such jobs a queue of their own:
   * there those beyond it stay in the queue, where other workers can have them; in a mixed queue they wait in their slots.
   */
  readonly concurrency?: number;
  /**
   * The handler begins only when its claim is on disk. Needed by handlers that write `job.fence` where the ledger does not compare it: else a
   * crash of Postgres right after the start may forget the claim, and another attempt may get the same number. Holds for all jobs of the
   * definition's queue in this worker. Default `false`: it begins about one disk write earlier.
   */
  readonly durableStart?: boolean;
}

const handleOptions = z.strictObject({
  concurrency: count.max(10_000).optional(),
  durableStart: z.boolean().default(false),
});

/**
 * Binds a handler to a definition. Payload and result are typed by the definition's schemas. The handler returns the result, or throws:
 * any error is a failed attempt, `NonRetryableError` ends the job, `snooze(delayMs)` runs it again later.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`.
 */
export function handle<Definition extends JobDefinition>(
  definition: Definition,
  run: (
    job: Job<ParsedPayloadOf<Definition>, ResultOf<Definition>>,
  ) => ResultOf<Definition> | Promise<ResultOf<Definition>>,
  options: HandleOptions = {},
): JobHandler {
  assertDefined("handle", definition);
  assertFunction("handle", "run", run);
  const { concurrency, durableStart } = parseOptions("handle", handleOptions, options);
  return {
    definition,
    durableStart,
    ...(concurrency === undefined ? {} : { concurrency }),
    // the executor parsed the payload with this definition's schema, and checks the result with it
    run: (attempt) => run(attempt as unknown as Job<ParsedPayloadOf<Definition>, ResultOf<Definition>>),
  };
}

/** For callers without types. */
export function isHandler(given: unknown): given is JobHandler {
  return (
    typeof given === "object" &&
    given !== null &&
    "run" in given &&
    "definition" in given &&
    isDefinition(given.definition)
  );
}

/** The handlers of a worker by name and version. */
export interface HandlerTable {
  /** The handler of exactly this version, else the newest that has upcasters from it. */
  find(name: string, version: number): JobHandler | undefined;
  /** The versions of this name that can be handled, ascending. */
  versionsOf(name: string): readonly number[];
  readonly queues: readonly string[];
}

/** @throws JobOptionError when two handlers are given for the same name and version, or none at all. */
export function tabulate(handlers: readonly JobHandler[]): HandlerTable {
  const byName = new Map<string, JobHandler>();
  for (const handler of handlers) {
    const key = keyOf(handler.definition.name, handler.definition.version);
    if (byName.has(key)) {
      throw new JobOptionError("JOB_OPTION_INVALID", `createWorker: two handlers for ${key}`, {
        details: { path: "jobs" },
      });
    }
    byName.set(key, handler);
  }
  if (byName.size === 0) {
    throw new JobOptionError("JOB_OPTION_INVALID", 'createWorker: "jobs": expected at least one handler', {
      details: { path: "jobs" },
    });
  }
  const readable = new Map(byName);
  for (const handler of handlers.toSorted((left, right) => right.definition.version - left.definition.version)) {
    const { name, upcast } = handler.definition;
    for (const version of upcast.versions) {
      const key = keyOf(name, version);
      if (!readable.has(key)) readable.set(key, handler);
    }
  }
  return {
    find: (name, version) => readable.get(keyOf(name, version)),
    versionsOf(name) {
      const own = handlers.filter(({ definition }) => definition.name === name);
      return [...new Set(own.flatMap(({ definition }) => definition.upcast.versions))].sort(
        (left, right) => left - right,
      );
    },
    queues: [...new Set(handlers.map((handler) => handler.definition.queue))],
  };
}

function keyOf(name: string, version: number): string {
  return `${name}@${version}`;
}
