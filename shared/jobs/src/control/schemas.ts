import type { JobFilter, LineCursor, RunSql } from "@warren/ledger";
import { z } from "zod";
import type { JobDefinition, PayloadOf } from "../define.ts";
import { JobOptionError } from "../errors.ts";
import { count, jobName, queueName, timeoutMs } from "../options.ts";

export interface CancelOptions {
  /** Why, up to 500 characters; kept with the job and told to its handler. */
  readonly reason: string;
  /** Who: a person, a service. Up to 200 characters. */
  readonly by: string;
  /** Cancel inside your own transaction. Its worker hears of it after your commit, at its next heartbeat. */
  readonly tx?: RunSql;
}

export interface RetryOptions<Definition extends JobDefinition = JobDefinition> {
  /** How many attempts count from now on, 1 to 1,000,000. Default: as many as the job had from the beginning. */
  readonly attempts?: number;
  /** Runs it with another payload, which is checked against the definition. */
  readonly edit?: { readonly definition: Definition; readonly payload: PayloadOf<Definition> };
  /** Retry inside your own transaction. */
  readonly tx?: RunSql;
}

export interface DiscardOptions {
  /** Who decides it. Up to 200 characters. */
  readonly by: string;
}

export interface FlowCancelOptions {
  /** Why, up to 500 characters; kept with the flow. */
  readonly reason: string;
  /** Who: a person, a service. Up to 200 characters. */
  readonly by: string;
}

export interface FlowRetryOptions {
  /** Names of failed nodes, 1 to 10,000. Default: all that failed. */
  readonly nodes?: readonly string[];
}

/** Text that Postgres can store. */
const text = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .refine((value) => !value.includes("\u0000") && value.isWellFormed(), "holds U+0000 or half of a surrogate pair");
const by = text(200);
const reason = text(500);
const tx = z
  .custom<RunSql>((value) => typeof value === "function", "expected a function that runs one statement")
  .optional();

export const cancelOptions = z.strictObject({ reason, by, tx });
export const flowCancelOptions = z.strictObject({ reason, by });
export const flowRetryOptions = z.strictObject({ nodes: z.array(text(200)).min(1).max(10_000).optional() });
export const retryOptions = z.strictObject({
  attempts: count.optional(),
  edit: z
    .strictObject({
      definition: z.custom<JobDefinition>(isDefinition, "expected a job definition, made by defineJob"),
      payload: z.unknown(),
    })
    .optional(),
  tx,
});
const state = z.enum(["blocked", "scheduled", "ready", "running", "retrying", "succeeded", "dead", "cancelled"]);
export const filterOptions = z.strictObject({
  queue: queueName.optional(),
  name: jobName.optional(),
  states: z.array(state).min(1).optional(),
  reason: reason.optional(),
  createdFrom: z.date().optional(),
  createdBefore: z.date().optional(),
  finishedFrom: z.date().optional(),
  finishedBefore: z.date().optional(),
  attributes: z.record(text(200), z.union([text(1_000), z.number(), z.boolean()])).optional(),
  schedule: text(200).optional(),
  key: text(200).optional(),
});
/** Without any condition an operation would take every job there is; whoever means that says so by naming states. */
const someFilter = filterOptions.refine((filter) => Object.values(filter).some((value) => value !== undefined), {
  message: "expected at least one condition; name `states` to mean all jobs in them",
});
export const bulkOptions = z.strictObject({
  filter: someFilter,
  by,
  reason,
  rate: z.number().min(0.1).max(1_000_000).optional(),
  limit: z.number().int().positive().max(100_000_000).optional(),
});
const signal = z.custom<AbortSignal>((value) => value instanceof AbortSignal, "expected an AbortSignal").optional();
export const waitOptions = z.strictObject({ timeoutMs: timeoutMs.default(30_000), signal });
export const watchOptions = z.strictObject({ queue: queueName.optional(), jobId: z.guid().optional(), signal });
export const listOptions = filterOptions.extend({
  discarded: z.boolean().default(false),
  limit: z.number().int().min(1).max(200).default(50),
  cursor: z.guid().optional(),
  direction: z.enum(["older", "newer"]).default("older"),
});
export const lineOptions = z.strictObject({
  after: z.strictObject({ attempt: z.number().int().min(0), line: z.number().int().min(0) }).optional(),
  limit: z.number().int().min(1).max(1_000).default(200),
});
export const discardOptions = z.strictObject({ by });

function isDefinition(value: unknown): boolean {
  return typeof value === "object" && value !== null && "payload" in value && "attempts" in value && "queue" in value;
}

const uuid = z.guid();

/** Checks an id before any statement sees it. @throws JobOptionError `JOB_OPTION_INVALID`. */
export function jobId(what: string, id: unknown): string {
  const parsed = uuid.safeParse(id);
  if (parsed.success) return parsed.data.toLowerCase();
  throw new JobOptionError(
    "JOB_OPTION_INVALID",
    `${what}: expected the id of a job, a UUID, got ${JSON.stringify(id)}`,
    {
      details: { path: "id" },
    },
  );
}

export interface WaitOptions {
  /** Gives up after this time. Default 30 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface WatchOptions {
  /** Only jobs of this queue. */
  readonly queue?: string;
  /** Only this job. */
  readonly jobId?: string;
  /** Ends the watch. */
  readonly signal?: AbortSignal;
}

export interface ListOptions extends JobFilter {
  /** Also those that were discarded. Default no. */
  readonly discarded?: boolean;
  /** 1 to 200, default 50. */
  readonly limit?: number;
  /** `next` of the page before, or the id of any job. */
  readonly cursor?: string;
  /** Which way to go from the cursor. Default `older`. */
  readonly direction?: "older" | "newer";
}

export interface LineOptions {
  /** `next` of the page before. */
  readonly after?: LineCursor;
  /** 1 to 1,000, default 200. */
  readonly limit?: number;
}
