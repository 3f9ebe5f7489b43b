import type { NewJob } from "../job.ts";
import type { Row } from "../postgres/database.ts";
import type { Misfire, Overlap, Progress, Timing } from "./plan.ts";
import { parseWhen, type WhenOption } from "./when.ts";
import { zoneOf } from "./zone.ts";

/** What every job of a schedule is made of. */
export type ScheduledJob = Pick<
  NewJob,
  | "queue"
  | "name"
  | "version"
  | "payload"
  | "priority"
  | "maxAttempts"
  | "maxStalls"
  | "breakers"
  | "limitKey"
  | "payloadForm"
  | "attributes"
>;

/** Who defines a schedule: a service's code at its deploy, or somebody at run time. */
export type ScheduleOrigin = { readonly kind: "api" } | { readonly kind: "code"; readonly service: string };

export interface NewSchedule {
  readonly name: string;
  readonly job: ScheduledJob;
  readonly when: WhenOption;
  /** IANA name; whose clock a cron goes by. */
  readonly timeZone: string;
  readonly start?: Date | undefined;
  readonly end?: Date | undefined;
  readonly limit?: number | undefined;
  readonly misfire: Misfire;
  readonly overlap: Overlap;
}

/** Everything the ledger knows about a schedule. */
export interface Schedule extends Omit<NewSchedule, "when"> {
  readonly origin: ScheduleOrigin;
  /** As text, for `parseWhen`. */
  readonly when: string;
  readonly start: Date | undefined;
  readonly end: Date | undefined;
  readonly limit: number | undefined;
  /** `ended`: there is no occurrence any more, by its limit or its end. */
  readonly state: "active" | "paused" | "ended";
  readonly nextAt: Date | undefined;
  /** Occurrences that wait for an earlier run to finish. */
  readonly waiting: readonly Date[];
  /** Occurrences that were fired or wait. */
  readonly fired: number;
  /** Occurrences left out because nobody could fire them in time; of one silence at most 1,000 are counted. */
  readonly missed: number;
  /** Occurrences left out because an earlier run was not finished. */
  readonly overlapped: number;
  /** The intended instant of the last run, and its job. */
  readonly lastAt: Date | undefined;
  readonly lastJobId: string | undefined;
  readonly pausedAt: Date | undefined;
  readonly pausedBy: string | undefined;
  /** Since when the code of its service does not define it any more. It goes on firing until somebody pauses or deletes it. */
  readonly orphanedAt: Date | undefined;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const optionalText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const optionalDate = (value: unknown): Date | undefined => (value instanceof Date ? value : undefined);
const optionalNumber = (value: unknown): number | undefined => (value === null ? undefined : Number(value));

/** A row of the table `schedules`. */
export function scheduleOf(row: Row): Schedule {
  const nextAt = optionalDate(row["next_at"]);
  const pausedAt = optionalDate(row["paused_at"]);
  const service = optionalText(row["service"]);
  const waiting = row["waiting"] as readonly Date[];
  return {
    name: String(row["name"]),
    origin: row["origin"] === "code" && service !== undefined ? { kind: "code", service } : { kind: "api" },
    job: jobOf(row),
    when: String(row["fires"]),
    timeZone: String(row["time_zone"]),
    start: optionalDate(row["starts_at"]),
    end: optionalDate(row["ends_at"]),
    limit: optionalNumber(row["run_limit"]),
    misfire: misfireOf(row),
    overlap: row["overlap"] as Overlap,
    state: pausedAt !== undefined ? "paused" : nextAt === undefined && waiting.length === 0 ? "ended" : "active",
    nextAt,
    waiting,
    fired: Number(row["fired"]),
    missed: Number(row["missed"]),
    overlapped: Number(row["overlapped"]),
    lastAt: optionalDate(row["last_at"]),
    lastJobId: optionalText(row["last_job_id"]),
    pausedAt,
    pausedBy: optionalText(row["paused_by"]),
    orphanedAt: optionalDate(row["orphaned_at"]),
    createdAt: row["created_at"] as Date,
    updatedAt: row["updated_at"] as Date,
  };
}

function jobOf(row: Row): ScheduledJob {
  const limitKey = optionalText(row["limit_key"]);
  const payloadForm = optionalText(row["payload_form"]);
  const attributes = row["attributes"] as NonNullable<ScheduledJob["attributes"]> | null;
  return {
    queue: String(row["queue"]),
    name: String(row["job"]),
    version: Number(row["version"]),
    payload: row["payload"],
    priority: Number(row["priority"]),
    maxAttempts: Number(row["max_attempts"]),
    maxStalls: Number(row["max_stalls"]),
    breakers: row["breakers"] as readonly string[],
    ...(limitKey === undefined ? {} : { limitKey }),
    ...(payloadForm === undefined ? {} : { payloadForm }),
    ...(attributes === null ? {} : { attributes }),
  };
}

function misfireOf(row: Row): Misfire {
  if (row["misfire"] === "catch_up") return { catchUp: Number(row["catch_up"]) };
  return row["misfire"] === "skip" ? "skip" : "once";
}

type TimingFields = Pick<Schedule, "when" | "timeZone" | "misfire" | "overlap"> &
  Pick<NewSchedule, "start" | "end" | "limit">;

/** @throws ScheduleError when this process cannot read the rhythm or does not know the zone. */
export function timingOf({ when, timeZone, start, end, limit, misfire, overlap }: TimingFields): Timing {
  return {
    rhythm: { when: parseWhen(when), zone: zoneOf(timeZone) },
    start: start?.getTime(),
    end: end?.getTime(),
    limit,
    misfire,
    overlap,
  };
}

export function progressOf(row: Row): Progress {
  return {
    nextAt: optionalDate(row["next_at"])?.getTime(),
    decidedTo: (row["decided_to"] as Date).getTime(),
    waiting: (row["waiting"] as readonly Date[]).map((date) => date.getTime()),
    fired: Number(row["fired"]),
  };
}

/**
 * The client-chosen id of an occurrence's job: one job for each, however often it is fired. A run that somebody triggered by hand has an
 * id of its own at the end.
 */
export function occurrenceId(name: string, at: Date, triggeredAs?: string): string {
  const id = `${occurrencePrefix}${name}:${at.toISOString()}`;
  return triggeredAs === undefined ? id : `${id}:${triggeredAs}`;
}

/** Ids that begin so belong to schedules. */
export const occurrencePrefix = "schedule:";

/** The intended instant of a job of a schedule, from its client-chosen id. */
export function scheduledFor(givenId: string | undefined): Date | undefined {
  const [, instant] = /^schedule:[^:]+:([^:]+:\d\d:\d\d\.\d{3}Z)/.exec(givenId ?? "") ?? [];
  return instant === undefined ? undefined : new Date(instant);
}
