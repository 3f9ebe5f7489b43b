import type { BulkAction, BulkOperation, JobFilter, Ledger } from "@warren/ledger";
import { JobError } from "../errors.ts";
import { parseOptions } from "../options.ts";
import { bulkOptions, discardOptions, filterOptions, jobId } from "./schemas.ts";

export interface BulkOptions {
  readonly filter: JobFilter;
  /** Who does it; kept for good with the operation. */
  readonly by: string;
  /** Why; jobs that are cancelled say so. */
  readonly reason: string;
  /** Jobs a second at most, from 0.1. Default: as fast as it goes. */
  readonly rate?: number;
  /** Takes at most so many, the oldest first. */
  readonly limit?: number;
}

/** Operations on many jobs. They are done by dispatchers, in batches, survive any kill, and are kept as their own audit. */
export interface Bulk {
  /** How many jobs the operation would take if it were made now. Changes nothing. */
  count(action: BulkAction, filter: JobFilter): Promise<number>;
  /**
   * Makes an operation on the jobs that match at this moment: no other is ever touched. Of those, what has moved on when its turn comes is
   * skipped, with why. `cancel` looks at unfinished jobs, `retry` at dead ones (and, where `states` says so, cancelled ones), `discard`
   * and `restore` at both. With a flow's job that is retried come back those of its flow that were cancelled or skipped because of it,
   * uncounted; of one flow, all that matched are retried together. @throws JobOptionError.
   */
  start(action: BulkAction, options: BulkOptions): Promise<BulkOperation>;
  /** @throws JobError `BULK_NOT_FOUND`. */
  get(id: string): Promise<BulkOperation>;
  /** The latest first. */
  list(options?: { readonly limit?: number }): Promise<readonly BulkOperation[]>;
  /** Takes no further batch until `resume`. @throws JobError `BULK_NOT_FOUND`, `BULK_FINISHED`. */
  pause(id: string, options: { readonly by: string }): Promise<BulkOperation>;
  resume(id: string, options: { readonly by: string }): Promise<BulkOperation>;
  /** Ends it for good; what is changed stays changed. */
  abort(id: string, options: { readonly by: string }): Promise<BulkOperation>;
}

const mostListed = 100;

export function createBulk({ control }: Pick<Ledger, "control">): Bulk {
  const { bulk } = control;

  async function turn(what: string, given: string, state: "running" | "paused" | "aborted", options: unknown) {
    const id = jobId(what, given);
    const { by } = parseOptions(what, discardOptions, options);
    const operation = found(id, await bulk.setState(id, state, by));
    if (operation.state !== state) {
      throw new JobError("BULK_FINISHED", `${what}: bulk operation ${id} is ${operation.state}`, { details: { id } });
    }
    return operation;
  }

  return {
    count: async (action, filter) => bulk.count(action, parseOptions("bulk", filterOptions, filter) as JobFilter),
    start: async (action, options) => {
      const { filter, by, reason, rate, limit } = parseOptions("bulk", bulkOptions, options);
      return bulk.start({
        action,
        filter: filter as JobFilter,
        by,
        reason,
        ...(rate === undefined ? {} : { rate }),
        ...(limit === undefined ? {} : { limit }),
      });
    },
    get: async (given) => {
      const id = jobId("bulk", given);
      return found(id, await bulk.find(id));
    },
    list: async ({ limit = mostListed } = {}) => bulk.list(Math.min(Math.max(1, Math.trunc(limit)), mostListed)),
    pause: (id, options) => turn("pause", id, "paused", options),
    resume: (id, options) => turn("resume", id, "running", options),
    abort: (id, options) => turn("abort", id, "aborted", options),
  };
}

function found(id: string, operation: BulkOperation | undefined): BulkOperation {
  if (operation !== undefined) return operation;
  throw new JobError("BULK_NOT_FOUND", `no bulk operation ${id}`, { details: { id } });
}
