import {
  type Misfire,
  type NewJob,
  type NewSchedule,
  type Overlap,
  parseWhen,
  previewFirings,
  type WhenOption,
  whenText,
} from "@warren/ledger";
import { z } from "zod";
import type { JobDefinition, PayloadOf } from "../define.ts";
import { JobOptionError } from "../errors.ts";
import { jsonText, misfit } from "../json.ts";
import { instant, parseOptions } from "../options.ts";

/** A schedule, as written by its author. */
export interface ScheduleOptions<Definition extends JobDefinition = JobDefinition> {
  /** What it is called in the ledger, in logs and metrics; unique over all services: `reports.nightly`. */
  readonly name: string;
  /** The job that it makes. Its `unique` rule does not apply to scheduled runs: see `overlap`. */
  readonly job: Definition;
  readonly payload: PayloadOf<Definition>;
  /**
   * `0 3 * * *` (5 fields, or 6 with seconds first), `@daily`, `at 03:00`, `every 10 minutes`, `every 1h offset 5m`, `{ cron }`,
   * `{ everyMs, offsetMs }`.
   */
  readonly when: WhenOption;
  /** IANA name; whose clock a cron goes by. Default `UTC`. Not for intervals: those keep to a grid of UTC. */
  readonly timeZone?: string;
  /** Not before this instant. */
  readonly start?: Date;
  /** Not after this instant. */
  readonly end?: Date;
  /** How often it fires in all. */
  readonly limit?: number;
  /** What becomes of occurrences that nobody could fire in time. Default `once`: the latest fires for all. */
  readonly misfire?: Misfire;
  /** What becomes of an occurrence while an earlier run is not finished. Default `allow`. */
  readonly overlap?: Overlap;
  /** As at enqueue. */
  readonly priority?: number;
  /** As at enqueue. */
  readonly key?: string;
}

/** A schedule in code: checked, frozen. Make it with `defineSchedule`, and register it at deploy with `registerSchedules`. */
export interface ScheduleDefinition extends Omit<NewSchedule, "job" | "when"> {
  readonly job: JobDefinition;
  readonly payload: unknown;
  readonly when: string;
  readonly priority: number | undefined;
  readonly key: string | undefined;
}

export const scheduleName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
    "expected 1 to 100 letters, digits, dots, dashes or underscores, beginning with a letter or digit",
  );

const rhythm = z.union([
  z.string().max(500),
  z.strictObject({ cron: z.string().max(500) }),
  // numbers of every kind: the ledger says what is wrong with them
  z.strictObject({ everyMs: z.unknown(), offsetMs: z.unknown().optional() }),
]);

const scheduleOptions = z.strictObject({
  name: scheduleName,
  job: z.custom<JobDefinition>((value) => typeof value === "object" && value !== null && "payload" in value, {
    error: "expected a job definition",
  }),
  payload: z.unknown(),
  when: rhythm,
  timeZone: z.string().optional(),
  start: instant.optional(),
  end: instant.optional(),
  limit: z.number().int().min(1).max(2_000_000_000).optional(),
  misfire: z
    .union([z.enum(["skip", "once"]), z.strictObject({ catchUp: z.number().int().min(1).max(1_000) })], {
      error: 'expected "skip", "once" or { catchUp: 1 to 1000 }',
    })
    .default("once"),
  overlap: z.enum(["allow", "skip", "queue", "cancel"]).default("allow"),
  priority: z.number().int().min(0).max(1_000).optional(),
  key: z.string().min(1).max(200).optional(),
});

/**
 * Defines a schedule in code. Nothing is written before `registerSchedules`.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`; JobDataError for the payload; ScheduleError `SCHEDULE_WHEN_INVALID`,
 * `SCHEDULE_NEVER_FIRES`, `SCHEDULE_ZONE_UNKNOWN`, `SCHEDULE_TOO_FREQUENT`.
 */
export function defineSchedule<Definition extends JobDefinition>(
  given: ScheduleOptions<Definition>,
): ScheduleDefinition {
  const parsed = parseOptions("defineSchedule", scheduleOptions, given);
  const when = whenText(given.when);
  const isInterval = parseWhen(when).kind === "every";
  if (isInterval && parsed.timeZone !== undefined) {
    throw new JobOptionError(
      "JOB_OPTION_INVALID",
      `defineSchedule: "timeZone": an interval keeps to a grid of UTC; leave it out, or write a cron`,
      { details: { path: "timeZone" } },
    );
  }
  const timeZone = parsed.timeZone ?? "UTC";
  previewFirings({ when, timeZone, after: new Date(0), count: 1 });
  const fits = given.job.payload.safeParse(given.payload);
  if (!fits.success) throw misfit(`payload of schedule ${parsed.name}`, fits.error, "JOB_PAYLOAD_INVALID");
  jsonText(`the payload of schedule ${parsed.name}`, given.payload, "JOB_PAYLOAD_UNSERIALISABLE");
  const { name, start, end, limit, misfire, overlap, priority, key } = parsed;
  const { job, payload } = given;
  return Object.freeze({ name, job, payload, when, timeZone, start, end, limit, misfire, overlap, priority, key });
}

/** Makes the row for a job, as `client.prepare` does. */
export type Prepare = (
  definition: JobDefinition,
  payload: unknown,
  options: { readonly priority?: number; readonly key?: string; readonly schedule: string },
) => NewJob | Promise<NewJob>;

/** The schedule as the ledger keeps it, with the job that it will make. */
export async function newScheduleOf(definition: ScheduleDefinition, prepareJob: Prepare): Promise<NewSchedule> {
  const { job: jobDefinition, payload, priority, key, ...timing } = definition;
  const prepared = await prepareJob(jobDefinition, payload, {
    // a sealed payload is bound to it: all jobs of the schedule will have the same
    schedule: definition.name,
    ...(priority === undefined ? {} : { priority }),
    ...(key === undefined ? {} : { key }),
  });
  const { queue, name, version, maxAttempts, maxStalls, breakers, limitKey, payloadForm, attributes } = prepared;
  const job = {
    queue,
    name,
    version,
    payload: prepared.payload,
    maxAttempts,
    maxStalls,
    ...(prepared.priority === undefined ? {} : { priority: prepared.priority }),
    ...(breakers === undefined ? {} : { breakers }),
    ...(limitKey === undefined ? {} : { limitKey }),
    ...(payloadForm === undefined ? {} : { payloadForm }),
    ...(attributes === undefined ? {} : { attributes }),
  };
  return { ...timing, job };
}
