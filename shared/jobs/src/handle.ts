import type { JobDefinition, ParsedPayloadOf, ResultOf } from "./define.ts";
import { JobOptionError } from "./errors.ts";
import type { Attempt, Job } from "./job.ts";

/** A definition with the function that does the work, its types hidden, ready for a worker. Make it with `handle`. */
export interface JobHandler {
  readonly definition: JobDefinition;
  /** Runs the handler; the attempt's payload must have come out of the definition's schema. */
  readonly run: (attempt: Attempt) => unknown;
}

/**
 * Binds a handler to a definition. Payload and result are typed by the definition's schemas. The handler returns the result, or throws:
 * any error is a failed attempt, `NonRetryableError` ends the job, `snooze(delayMs)` runs it again later.
 */
export function handle<Definition extends JobDefinition>(
  definition: Definition,
  run: (
    job: Job<ParsedPayloadOf<Definition>, ResultOf<Definition>>,
  ) => ResultOf<Definition> | Promise<ResultOf<Definition>>,
): JobHandler {
  return {
    definition,
    // the executor parsed the payload with this definition's schema, and checks the result with it
    run: (attempt) => run(attempt as unknown as Job<ParsedPayloadOf<Definition>, ResultOf<Definition>>),
  };
}

/** The handlers of a worker by name and version. */
export interface HandlerTable {
  find(name: string, version: number): JobHandler | undefined;
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
  return {
    find: (name, version) => byName.get(keyOf(name, version)),
    queues: [...new Set(handlers.map((handler) => handler.definition.queue))],
  };
}

function keyOf(name: string, version: number): string {
  return `${name}@${version}`;
}
