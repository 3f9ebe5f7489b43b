import { nearest } from "@warren/contracts";
import { z } from "zod";
import { JobOptionError } from "../errors.ts";
import { isHandler, type JobHandler } from "../handle.ts";
import { count, parseOptions, timeoutMs } from "../options.ts";
import type { ScaleLimits } from "./autoscale.ts";
import type { RecycleReason } from "./recycle.ts";

const mostPrefetch = 200;
const mostSlots = 10_000;

/** Lets the worker set its own concurrency. */
export interface AutoscaleOptions {
  readonly min: number;
  readonly max: number;
  /** Grow while jobs wait longer than this for a slot. Default 500 ms. */
  readonly targetWaitMs?: number;
  /** Shrink while the event loop is later than this (99th percentile). Default 100 ms. */
  readonly maxLoopLagMs?: number;
  /** How often it looks. Default 1 s. */
  readonly everyMs?: number;
}

/** When a worker stops taking jobs, finishes those it has, and asks to be replaced. At least one limit. */
export interface RecycleOptions {
  /** After so many attempts, up to a tenth fewer, so that workers do not leave together. Looked at every second: more may have run by then. */
  readonly afterJobs?: number;
  /** When the process's resident set is larger than this. Looked at every second. */
  readonly aboveRssBytes?: number;
  /** After this time, up to a tenth less. */
  readonly afterMs?: number;
  /** How long it waits for its running jobs, before it hands them back. Default 10 min. */
  readonly drainMs?: number;
  /**
   * Called once, when the worker has drained: end the process in order and have it started again. In a service:
   * `(reason) => context.recycle(reason)`, which ends it with exit code 75.
   */
  readonly onRecycle: (reason: RecycleReason) => void;
}

const given = z.custom<unknown>((value) => value !== undefined, "is missing");
const slots = count.max(mostSlots);

const autoscale = z
  .strictObject({
    min: slots,
    max: slots,
    targetWaitMs: timeoutMs.default(500),
    maxLoopLagMs: timeoutMs.default(100),
    everyMs: timeoutMs.min(100).default(1_000),
  })
  .refine(({ min, max }) => min <= max, { message: "expected min to be at most max", path: ["min"] });

const recycle = z
  .strictObject({
    afterJobs: count.optional(),
    aboveRssBytes: z.number().int().positive().optional(),
    afterMs: timeoutMs.optional(),
    drainMs: timeoutMs.default(600_000),
    onRecycle: z.custom<RecycleOptions["onRecycle"]>((value) => typeof value === "function", "expected a function"),
  })
  .refine(({ afterJobs, aboveRssBytes, afterMs }) => (afterJobs ?? aboveRssBytes ?? afterMs) !== undefined, {
    message: "expected afterJobs, aboveRssBytes or afterMs",
  });

const workerOptions = z.strictObject({
  ledger: given,
  session: given,
  jobs: z.array(z.custom<JobHandler>(isHandler, "expected what handle(definition, …) makes")),
  queues: z.record(z.string(), z.number().positive().max(10_000)).default({}),
  concurrency: z.union([slots, autoscale], { error: "expected a whole number from 1, or { min, max }" }).default(10),
  prefetch: count.max(65_535).optional(),
  version: z.string().default(""),
  heartbeatMs: z.number().int().positive().max(5_000).default(3_000),
  recycle: recycle.optional(),
  log: given,
  metrics: given,
  tracing: z.unknown().optional(),
  payloads: z.unknown().optional(),
  random: z.unknown().optional(),
  newId: z.unknown().optional(),
});

/** What a worker is made of, checked. */
export interface ParsedWorkerOptions {
  readonly weights: Readonly<Record<string, number>>;
  /** To begin with. */
  readonly concurrency: number;
  readonly scale: (ScaleLimits & { readonly everyMs: number }) | undefined;
  /** Unclaimed messages for a queue, at a concurrency. */
  readonly prefetch: (concurrency: number) => number;
  readonly version: string;
  readonly heartbeatMs: number;
  readonly recycle: z.output<typeof recycle> | undefined;
}

/** The options of a worker that are not parts, checked. @throws JobOptionError. */
export function parseWorkerOptions(options: {
  readonly jobs: readonly JobHandler[];
  readonly concurrency?: unknown;
}): ParsedWorkerOptions {
  // looked at alone first: the message of a union does not say which field is wrong
  if (typeof options.concurrency === "object" && options.concurrency !== null)
    parseOptions("createWorker: concurrency", autoscale, options.concurrency);
  const parsed = parseOptions("createWorker", workerOptions, options);
  const { version, heartbeatMs, prefetch: fixed } = parsed;
  checkQueues(Object.keys(parsed.queues), options.jobs);
  const scale = typeof parsed.concurrency === "number" ? undefined : parsed.concurrency;
  const concurrency = typeof parsed.concurrency === "number" ? parsed.concurrency : parsed.concurrency.min;
  checkSlots(concurrency, options.jobs);
  return {
    weights: parsed.queues,
    concurrency,
    scale,
    prefetch: (slots) => fixed ?? Math.min(slots, mostPrefetch),
    version,
    heartbeatMs,
    recycle: parsed.recycle,
  };
}

/** @throws JobOptionError when the concurrency is none, or less than a handler needs. */
export function parseConcurrency(concurrency: number, jobs: readonly JobHandler[]): number {
  const parsed = parseOptions("setConcurrency", z.strictObject({ concurrency: slots }), { concurrency });
  checkSlots(parsed.concurrency, jobs);
  return parsed.concurrency;
}

function checkQueues(named: readonly string[], jobs: readonly JobHandler[]): void {
  const known = [...new Set(jobs.map(({ definition }) => definition.queue))];
  for (const queue of named) {
    if (known.includes(queue)) continue;
    const near = nearest(queue, known);
    const hint = near === undefined ? `known: ${known.join(", ")}` : `did you mean "${near}"?`;
    throw invalid(`queues.${queue}`, `no job of this worker is in that queue; ${hint}`);
  }
}

function checkSlots(concurrency: number, jobs: readonly JobHandler[]): void {
  for (const { definition, leastSlots = 1 } of jobs) {
    if (leastSlots <= concurrency) continue;
    throw invalid("concurrency", `"${definition.name}" needs at least ${leastSlots} slots, got ${concurrency}`);
  }
}

function invalid(path: string, message: string): JobOptionError {
  return new JobOptionError("JOB_OPTION_INVALID", `createWorker: "${path}": ${message}`, { details: { path } });
}
