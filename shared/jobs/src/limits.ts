import type { Ledger, PolicyChange, PriorityChanged, QueueLimits, QueuePolicy } from "@warren/ledger";
import { z } from "zod";
import { jobName, parseOptions, queueName } from "./options.ts";
import { type RateOption, rate } from "./rate.ts";

/** What a queue may do, over all workers. A queue with any of it is governed: its jobs wait in the ledger until a dispatcher lets them go. */
export interface QueueLimitOptions {
  /** Jobs that run at once, 1 to 1,000,000. */
  readonly concurrency?: number | null;
  /** Starts: never more than `burst + rate × t` in any span `t`. */
  readonly rate?: RateOption | null;
  /** Jobs of one key that run at once. */
  readonly keyConcurrency?: number | null;
  /** Starts of each key. */
  readonly keyRate?: RateOption | null;
  /** `"strict"`: the next job of a key starts only when the one before is finished for good; retries and snoozes keep the key busy. */
  readonly order?: "strict" | null;
  /** Keys take turns: one tenant's million does not delay another's ten. Implied by limits and order of keys. */
  readonly fairness?: boolean | null;
  /** Higher priorities overtake waiting jobs. Implied by every other limit. */
  readonly priority?: boolean | null;
}

/** What a single key may do instead. */
export interface KeyLimitOptions {
  readonly concurrency?: number | null;
  readonly rate?: RateOption | null;
}

/** A queue, or only a job name or a key in it. */
export interface PauseOptions {
  readonly job?: string;
  readonly key?: string;
}

/**
 * Limits of queues, at run time and over all processes. What is not named stays as it is, `null` removes. A change holds for every job that
 * has not started when the call resolves; what runs, runs on.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`; LedgerError.
 */
export interface QueueControl {
  set(queue: string, limits: QueueLimitOptions): Promise<QueueLimits>;
  /** Limits as code has them, for the start of a service. Declared again unchanged, they leave alone what people changed since. */
  declare(limits: Readonly<Record<string, QueueLimitOptions>>): Promise<void>;
  /** `undefined`: nothing limits or pauses the queue. */
  get(queue: string): Promise<QueueLimits | undefined>;
  list(): Promise<readonly QueueLimits[]>;
  /** Removes all limits of the queue and its keys. What is paused stays paused. */
  clear(queue: string): Promise<void>;
  setKey(queue: string, key: string, limits: KeyLimitOptions): Promise<QueueLimits>;
  /** Nothing of it starts from now on. Jobs whose time comes meanwhile wait as well. */
  pause(queue: string, what?: PauseOptions): Promise<void>;
  resume(queue: string, what?: PauseOptions): Promise<void>;
  /** Of a job that waits: `changed`. One that is on its way to a worker is `under_way`, as are all ready jobs of direct queues. */
  changePriority(jobId: string, priority: number): Promise<PriorityChanged>;
}

const places = z.number().int().min(1).max(1_000_000);
const key = z.string().min(1).max(200);

const queueLimits = z.strictObject({
  concurrency: places.nullish(),
  rate: rate.nullish(),
  keyConcurrency: places.nullish(),
  keyRate: rate.nullish(),
  order: z.literal("strict").nullish(),
  fairness: z.boolean().nullish(),
  priority: z.boolean().nullish(),
});

const keyLimits = z.strictObject({ concurrency: places.nullish(), rate: rate.nullish() });

const pauseOptions = z
  .strictObject({ job: jobName.optional(), key: key.optional() })
  .refine(({ job, key: only }) => job === undefined || only === undefined, {
    path: ["key"],
    error: 'give "job" or "key", not both',
  });

const target = z.strictObject({ queue: queueName });
const keyTarget = z.strictObject({ queue: queueName, key });
const jobTarget = z.strictObject({ jobId: z.uuid(), priority: z.number().int().min(0).max(1_000) });

const check = (what: string, queue: string): string => parseOptions(what, target, { queue }).queue;

/** Makes the functions that change limits and pauses. */
export function createLimits({ ledger }: { readonly ledger: Pick<Ledger, "limits"> }): QueueControl {
  const { limits } = ledger;

  return {
    set: async (queue, given) => limits.change(check("limits.set", queue), changeOf("limits.set", given)),
    declare: async (given) => {
      const policies = Object.entries(given).map(([queue, own]) => {
        const change = changeOf(`limits.declare ${queue}`, own);
        return { queue: check("limits.declare", queue), policy: policyOf(change) };
      });
      for (const { queue, policy } of policies) await limits.declare(queue, policy);
    },
    get: async (queue) => limits.get(check("limits.get", queue)),
    list: () => limits.list(),
    clear: async (queue) => limits.clear(check("limits.clear", queue)),
    setKey: async (queue, name, given) => {
      const at = parseOptions("limits.setKey", keyTarget, { queue, key: name });
      return limits.changeKey(at.queue, at.key, withoutUndefined(parseOptions("limits.setKey", keyLimits, given)));
    },
    pause: async (queue, what = {}) =>
      limits.pause(check("limits.pause", queue), withoutUndefined(parseOptions("limits.pause", pauseOptions, what))),
    resume: async (queue, what = {}) =>
      limits.resume(check("limits.resume", queue), withoutUndefined(parseOptions("limits.resume", pauseOptions, what))),
    changePriority: async (jobId, priority) => {
      const given = parseOptions("limits.changePriority", jobTarget, { jobId, priority });
      return limits.changePriority(given.jobId, given.priority);
    },
  };
}

function changeOf(what: string, given: unknown): PolicyChange<QueuePolicy> {
  const { fairness, priority, ...rest } = parseOptions(what, queueLimits, given);
  return {
    ...withoutUndefined(rest),
    ...(fairness === undefined ? {} : { fairness: fairness === true ? true : null }),
    ...(priority === undefined ? {} : { priority: priority === true ? true : null }),
  };
}

/** What a change makes of a queue without a policy. */
function policyOf(change: PolicyChange<QueuePolicy>): QueuePolicy {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== null));
}

type Defined<T> = { [Field in keyof T]?: Exclude<T[Field], undefined> };

function withoutUndefined<T extends object>(given: T): Defined<T> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Defined<T>;
}
