import { compensates, defineEvent, defineJob, flowEnd, type QueueLimitOptions } from "@warren/jobs";

import { z } from "zod";

/** Outages must not use up what a job has: nothing here is dead but by its own will. */
const policy = { attempts: 1_000, maxStalls: 1_000, backoff: { kind: "fixed", delayMs: 200 } } as const;

/** What every job of the load carries: its number, given once in a run; how long it works; how often it fails before it succeeds. */
const work = z.object({ number: z.int(), takesMs: z.int().min(0), failures: z.int().min(0) });

const define = (name: string, queue: string, more: object = {}) =>
  defineJob({ name: `chaos.${name}`, queue, payload: work, ...policy, ...more });

/** Ends by returning: at least once. */
export const loose = define("loose", "chaos-plain");
/** All others end by `complete(tx)`, in the transaction of their effect: exactly once. */
export const exact = define("exact", "chaos-plain");
/** Enqueued in the caller's own transaction. */
export const joined = define("joined", "chaos-plain");
export const delayed = define("delayed", "chaos-plain");
export const ordered = define("ordered", "chaos-ordered");
export const capped = define("capped", "chaos-capped");
export const rated = define("rated", "chaos-rated");
export const single = define("single", "chaos-plain", { unique: { onConflict: "ignore" } });
export const latest = define("latest", "chaos-plain", { unique: { onConflict: "keep-last" } });

export const plainJobs = [loose, exact, joined, delayed, ordered, capped, rated, single, latest] as const;

/** Made by schedules. */
export const tick = defineJob({
  name: "chaos.tick",
  queue: "chaos-plain",
  payload: z.object({ schedule: z.string() }),
  ...policy,
});

/** A node of a flow. A fatal one can never succeed, and fails its flow. */
export const step = defineJob({
  name: "chaos.step",
  queue: "chaos-flows",
  payload: work.extend({ node: z.string(), fatal: z.boolean() }),
  result: z.object({ done: z.string() }),
  ...policy,
});
export const undo = defineJob({ name: "chaos.undo", queue: "chaos-flows", payload: compensates(step), ...policy });
export const ended = defineJob({ name: "chaos.ended", queue: "chaos-flows", payload: flowEnd, ...policy });

export const happened = defineEvent({
  type: "chaos.happened",
  schema: z.object({ number: z.int(), takesMs: z.int(), failures: z.int() }),
});
/** Each event is due once at each of them. */
export const subscriptions = ["billing", "stock"] as const;

export const limits = {
  "chaos-ordered": { order: "strict" },
  "chaos-capped": { concurrency: 3, keyConcurrency: 2 },
  "chaos-rated": { rate: { limit: 10, perMs: 1_000, burst: 5 } },
} as const satisfies Readonly<Record<string, QueueLimitOptions>>;
