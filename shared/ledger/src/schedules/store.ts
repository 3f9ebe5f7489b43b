import type { RunSql, TableName } from "../postgres/sql.ts";
import { ScheduleError } from "./errors.ts";
import { nextOccurrence } from "./plan.ts";
import { type NewSchedule, progressOf, type Schedule, type ScheduleOrigin, scheduleOf, timingOf } from "./schedule.ts";
import { whenText } from "./when.ts";

/** What an upsert did. */
export interface Upserted {
  readonly schedule: Schedule;
  readonly created: boolean;
}

/** The database's time, or in tests another one. */
export type ScheduleClock = () => Date | undefined;

/** Reads and checks a schedule before anything is written. @throws ScheduleError. */
function check(given: NewSchedule) {
  const when = whenText(given.when);
  const timing = timingOf({ ...given, when });
  const { start, end } = timing;
  if (start !== undefined && end !== undefined) {
    if (end <= start) {
      throw new ScheduleError("SCHEDULE_RANGE_INVALID", `schedule "${given.name}": it ends before it starts`, {
        start: given.start?.toISOString(),
        end: given.end?.toISOString(),
      });
    }
    if (nextOccurrence(timing, start - 1) === undefined) {
      throw new ScheduleError(
        "SCHEDULE_NEVER_FIRES",
        `schedule "${given.name}": "${when}" has no time between start and end`,
      );
    }
  }
  return { when, timing };
}

/** Writes a schedule in the caller's transaction. The row is locked from the first statement on, so concurrent upserts take turns. */
export async function upsertIn(
  run: RunSql,
  table: TableName,
  {
    given,
    origin,
    now: testNow,
  }: { readonly given: NewSchedule; readonly origin: ScheduleOrigin; readonly now: Date | undefined },
): Promise<Upserted> {
  const { when, timing } = check(given);
  const sql = upsertSql(table);
  const values = valuesOf(given, origin, when);
  const inserted = await run(sql.insert, [...values, testNow ?? null]);
  // Locks one row. Index: primary key.
  const { rows } = await run(sql.lock, [given.name, testNow ?? null]);
  const [row] = rows;
  if (row === undefined) throw new ScheduleError("SCHEDULE_UNKNOWN", `schedule "${given.name}" was deleted meanwhile`);
  const created = inserted.rows.length > 0;
  const known = scheduleOf(row);
  refuseTaken(known, origin);

  const progress = progressOf(row);
  const now = (row["now"] as Date).getTime();
  const isSpent = given.limit !== undefined && progress.fired >= given.limit;
  // An unchanged rhythm keeps its place: what was missed while nobody ran is still to be decided by the misfire policy.
  const keeps =
    !created && isSameRhythm(known, given, when) && (progress.nextAt !== undefined || known.limit === given.limit);
  const decidedTo = keeps ? progress.decidedTo : Math.max(progress.decidedTo, now);
  const nextAt = isSpent ? undefined : keeps ? progress.nextAt : nextOccurrence(timing, decidedTo);
  const updated = await run(sql.update, [
    ...values,
    nextAt === undefined ? null : new Date(nextAt).toISOString(),
    new Date(decidedTo).toISOString(),
  ]);
  return { schedule: scheduleOf(updated.rows[0] ?? row), created };
}

function refuseTaken(known: Schedule, origin: ScheduleOrigin): void {
  if (known.origin.kind !== "code" || origin.kind !== "code" || known.origin.service === origin.service) return;
  throw new ScheduleError(
    "SCHEDULE_TAKEN",
    `schedule "${known.name}" is defined in the code of "${known.origin.service}", not of "${origin.service}"`,
    { name: known.name, service: known.origin.service },
  );
}

function isSameRhythm(known: Schedule, given: NewSchedule, when: string): boolean {
  return (
    known.when === when &&
    known.timeZone === given.timeZone &&
    known.start?.getTime() === given.start?.getTime() &&
    known.end?.getTime() === given.end?.getTime()
  );
}

const columns = [
  ["name", "text"],
  ["origin", "text"],
  ["service", "text"],
  ["queue", "text"],
  ["job", "text"],
  ["version", "integer"],
  ["payload", "text::jsonb"],
  ["priority", "integer"],
  ["max_attempts", "integer"],
  ["max_stalls", "integer"],
  ["breakers", "text[]"],
  ["limit_key", "text"],
  ["payload_form", "text"],
  ["attributes", "text::jsonb"],
  ["fires", "text"],
  ["time_zone", "text"],
  ["starts_at", "timestamptz"],
  ["ends_at", "timestamptz"],
  ["run_limit", "integer"],
  ["misfire", "text"],
  ["catch_up", "integer"],
  ["overlap", "text"],
] as const;

function valuesOf(given: NewSchedule, origin: ScheduleOrigin, when: string): readonly unknown[] {
  const { job, misfire } = given;
  const catchUp = typeof misfire === "object" ? misfire.catchUp : null;
  return [
    given.name,
    origin.kind,
    origin.kind === "code" ? origin.service : null,
    job.queue,
    job.name,
    job.version,
    JSON.stringify(job.payload) ?? "null",
    job.priority ?? 0,
    job.maxAttempts,
    job.maxStalls,
    job.breakers ?? [],
    job.limitKey ?? null,
    job.payloadForm ?? null,
    job.attributes === undefined ? null : JSON.stringify(job.attributes),
    when,
    given.timeZone,
    given.start?.toISOString() ?? null,
    given.end?.toISOString() ?? null,
    given.limit ?? null,
    typeof misfire === "object" ? "catch_up" : misfire,
    catchUp,
    given.overlap,
  ];
}

function upsertSql(table: TableName) {
  const names = columns.map(([name]) => name).join(", ");
  const parameters = columns.map(([, type], index) => `$${index + 1}::${type}`).join(", ");
  const assignments = columns.map(([name, type], index) => `${name} = $${index + 1}::${type}`).join(", ");
  const next = columns.length + 1;
  return {
    // Waits for whoever inserts the same name. Nobody sees the row before this transaction has said when it fires.
    insert: `insert into ${table("schedules")} (${names}, decided_to)
      values (${parameters}, coalesce($${next}::timestamptz, clock_timestamp()))
      on conflict (name) do nothing returning name`,
    lock: `select *, coalesce($2::timestamptz, clock_timestamp()) as now from ${table("schedules")} where name = $1 for update`,
    update: `update ${table("schedules")}
      set ${assignments}, next_at = $${next}::timestamptz, decided_to = $${next + 1}::timestamptz,
        orphaned_at = null, updated_at = clock_timestamp()
      where name = $1 returning *`,
  } as const;
}
