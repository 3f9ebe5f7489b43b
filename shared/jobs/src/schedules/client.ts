import {
  type Delayed,
  type Ledger,
  previewFirings,
  type Schedule,
  type Schedules,
  type Upserted,
} from "@warren/ledger";
import { z } from "zod";
import type { JobDefinition } from "../define.ts";
import { JobOptionError } from "../errors.ts";
import { count, durationMs, instant, parseOptions, queueName } from "../options.ts";
import { defineSchedule, newScheduleOf, type Prepare, type ScheduleOptions } from "./define.ts";

/** Schedules at run time. An unknown name is `SCHEDULE_UNKNOWN`. */
export interface ScheduleClient {
  /**
   * Makes the schedule or changes it to this. Another rhythm counts from now; the same one keeps its place. What code defines is as the
   * code says again after its next deploy.
   * @throws as `defineSchedule`; ScheduleError `SCHEDULE_RANGE_INVALID`, `SCHEDULE_NEVER_FIRES`.
   */
  upsert<Definition extends JobDefinition>(schedule: ScheduleOptions<Definition>): Promise<Upserted>;
  /** All of them, by name, orphans among them. */
  list(): Promise<readonly Schedule[]>;
  get(name: string): Promise<Schedule | undefined>;
  /** Nothing fires until `resume`, and nothing of it is made up for. `by` is shown. */
  pause(name: string, options?: { readonly by?: string }): Promise<Schedule>;
  resume(name: string): Promise<Schedule>;
  /** Its unfinished jobs stay. Answers whether there was one. What code defines comes back at its next deploy. */
  delete(name: string): Promise<boolean>;
  /** Makes a job of it now, whatever its rhythm, limit, pause or overlap policy say; the dispatcher sends it. */
  trigger(name: string): Promise<{ readonly id: string }>;
  /** The next times at which a schedule of the ledger, or one that is not made yet, fires. `count` from 1 to 1,000, default 5. */
  preview(
    schedule: string | Pick<ScheduleOptions, "when" | "timeZone" | "start" | "end">,
    count?: number,
  ): Promise<readonly Date[]>;
}

/** Jobs that wait for their time. For a job that does not, every call but `runAllNow` throws `NotWaitingError` (`JOB_NOT_WAITING`). */
export interface DelayedClient {
  /** Runs it now instead of at its time, or after its backoff. */
  runNow(id: string): Promise<void>;
  /** Runs all waiting jobs of a definition or a queue now, in the order in which they would have run. */
  runAllNow(filter: { readonly job?: JobDefinition; readonly queue?: string }): Promise<{ readonly jobs: number }>;
  /** Runs it at another time. @throws JobOptionError for a time that is none. */
  reschedule(
    id: string,
    start: { readonly delayMs: number } | { readonly at: Date },
  ): Promise<{ readonly runAt: Date }>;
  /** Calls it off. */
  cancel(id: string, options?: { readonly reason?: string }): Promise<void>;
}

export interface TimingOptions {
  readonly ledger: Pick<Ledger, "delayed" | "schedules">;
  readonly prepare: Prepare;
}

const rescheduleOptions = z.strictObject({ delayMs: durationMs.optional(), at: instant.optional() });
const filterOptions = z.strictObject({
  job: z.looseObject({ name: z.string() }).optional(),
  queue: queueName.optional(),
});
const pauseOptions = z.strictObject({ by: z.string().min(1).max(200).default("client") });
const cancelOptions = z.strictObject({ reason: z.string().min(1).max(1_000).default("JOB_CALLED_OFF") });
const mostPreviewed = 1_000;

/** The part of a client that has to do with time. */
export function createTiming({ ledger, prepare }: TimingOptions): {
  readonly schedules: ScheduleClient;
  readonly delayed: DelayedClient;
} {
  return { schedules: scheduleClient(ledger.schedules, prepare), delayed: delayedClient(ledger.delayed) };
}

function scheduleClient(schedules: Schedules, prepare: Prepare): ScheduleClient {
  return {
    upsert: async (given) => schedules.upsert(await newScheduleOf(defineSchedule(given), prepare)),
    list: () => schedules.list(),
    get: (name) => schedules.get(name),
    pause: async (name, given = {}) => schedules.pause(name, parseOptions("pause", pauseOptions, given).by),
    resume: (name) => schedules.resume(name),
    delete: (name) => schedules.delete(name),
    trigger: async (name) => ({ id: (await schedules.trigger(name)).id }),
    preview: async (schedule, wanted = 5) => {
      const { count: size } = parseOptions("preview", z.strictObject({ count: count.max(mostPreviewed) }), {
        count: wanted,
      });
      if (typeof schedule === "string") return schedules.preview(schedule, size);
      const { when, timeZone = "UTC", start, end } = schedule;
      return previewFirings({ when, timeZone, start, end, after: new Date(), count: size });
    },
  };
}

function delayedClient(delayed: Delayed): DelayedClient {
  return {
    runNow: (id) => delayed.runNow(id),
    runAllNow: async (given) => {
      const { job, queue } = parseOptions("runAllNow", filterOptions, given);
      if (job !== undefined) return delayed.runAllNow({ name: job.name, queue });
      if (queue !== undefined) return delayed.runAllNow({ queue });
      throw new JobOptionError("JOB_OPTION_INVALID", 'runAllNow: give "job" or "queue"', {
        details: { path: "queue" },
      });
    },
    reschedule: async (id, given) => {
      const { delayMs, at } = parseOptions("reschedule", rescheduleOptions, given);
      if (at !== undefined && delayMs === undefined) return delayed.reschedule(id, { runAt: at });
      if (delayMs !== undefined && at === undefined) return delayed.reschedule(id, { delayMs });
      throw new JobOptionError("JOB_OPTION_INVALID", 'reschedule: give either "delayMs" or "at"', {
        details: { path: "at" },
      });
    },
    cancel: async (id, given = {}) => delayed.cancel(id, parseOptions("cancel", cancelOptions, given).reason),
  };
}
