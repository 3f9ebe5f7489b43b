import type { Enqueue } from "../enqueue/enqueue.ts";
import type { FollowUps } from "../follow-ups.ts";
import type { SendableJob } from "../job.ts";
import type { Database } from "../postgres/database.ts";
import type { Again } from "../postgres/retrying.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { ScheduleError } from "./errors.ts";
import { createFire, type Fired, type FireRequest } from "./fire.ts";
import { nextOccurrence } from "./plan.ts";
import { type NewSchedule, occurrenceId, progressOf, type Schedule, scheduleOf, timingOf } from "./schedule.ts";
import { type ScheduleClock, type Upserted, upsertIn } from "./store.ts";

/** What a registration found. */
export interface Registered {
  readonly schedules: readonly Upserted[];
  /** Schedules of this service that its code does not define any more. They go on firing until somebody pauses or deletes them. */
  readonly orphans: readonly Schedule[];
}

/** Schedules in the ledger. Every method throws `LedgerError`; an unknown name is `SCHEDULE_UNKNOWN`. */
export interface Schedules {
  /**
   * Makes the schedule, or changes it to this: a new rhythm counts from now, an unchanged one keeps its place. A pause stays.
   * @throws ScheduleError `SCHEDULE_WHEN_INVALID`, `_ZONE_UNKNOWN`, `_TOO_FREQUENT`, `_RANGE_INVALID`, `_NEVER_FIRES`.
   */
  upsert(schedule: NewSchedule): Promise<Upserted>;
  /**
   * Upserts what a service's code defines, all or nothing. Code wins over what was changed at run time.
   * @throws ScheduleError as `upsert`, and `SCHEDULE_TAKEN` for a name that another service's code defines.
   */
  register(code: { readonly service: string; readonly schedules: readonly NewSchedule[] }): Promise<Registered>;
  /** All of them, by name. */
  list(): Promise<readonly Schedule[]>;
  get(name: string): Promise<Schedule | undefined>;
  /** Its occurrences are left out until `resume`, and not made up for. */
  pause(name: string, by: string): Promise<Schedule>;
  resume(name: string): Promise<Schedule>;
  /** Its unfinished jobs stay. Answers whether there was one. */
  delete(name: string): Promise<boolean>;
  /** Makes a job of it now, whatever its rhythm, limit, pause or overlap policy say. Publish it, or leave it to the dispatcher. */
  trigger(name: string): Promise<SendableJob>;
  /** Its next occurrences, at most `count`. */
  preview(name: string, count: number): Promise<readonly Date[]>;
  /** Makes the jobs of schedules that are due: the dispatcher's part. */
  fire(request: FireRequest): Promise<Fired>;
}

export interface SchedulesOptions {
  readonly database: Pick<Database, "query" | "run" | "transaction">;
  readonly table: TableName;
  readonly newId: () => string;
  readonly enqueueIn: Enqueue["enqueueIn"];
  readonly followUps: FollowUps;
  readonly repeatable: Again;
  readonly undone: Again;
  /** Default: the database's clock. Tests give their own. */
  readonly clock?: ScheduleClock;
}

export function createSchedules(options: SchedulesOptions): Schedules {
  const { database, table, newId, enqueueIn, followUps, repeatable, undone } = options;
  const clock = options.clock ?? (() => undefined);
  const schedules = table("schedules");
  const fireOnce = createFire({ database, table, enqueueIn, followUps, clock });

  // Locks one row. Index: primary key.
  const lock = `select *, coalesce($2::timestamptz, clock_timestamp()) as now from ${schedules} where name = $1 for update`;
  const orphan = `update ${schedules} set orphaned_at = coalesce(orphaned_at, clock_timestamp())
    where origin = 'code' and service = $1 and name <> all ($2::text[]) returning *`;

  /** For what comes to the same when it is repeated. */
  const inTransaction = <T>(work: (run: RunSql) => Promise<T>): Promise<T> =>
    repeatable(() => database.transaction(work));
  const query: RunSql = (text, values) => repeatable(() => database.query(text, values));

  async function lockIn(run: RunSql, name: string): Promise<Record<string, unknown>> {
    const [row] = (await run(lock, [name, clock() ?? null])).rows;
    if (row === undefined) throw unknown(name);
    return row;
  }

  async function get(name: string): Promise<Schedule | undefined> {
    const [row] = (await query(`select * from ${schedules} where name = $1`, [name])).rows;
    return row === undefined ? undefined : scheduleOf(row);
  }

  return {
    upsert: (given) => inTransaction((run) => upsertIn(run, table, { given, origin: { kind: "api" }, now: clock() })),

    register: ({ service, schedules: given }) =>
      inTransaction(async (run) => {
        // in one order in every process, so that two that start together take turns instead of deadlocking
        const sorted = [...given].sort((a, b) => (a.name < b.name ? -1 : 1));
        const upserted: Upserted[] = [];
        for (const one of sorted) {
          upserted.push(await upsertIn(run, table, { given: one, origin: { kind: "code", service }, now: clock() }));
        }
        const { rows } = await run(orphan, [service, sorted.map(({ name }) => name)]);
        return { schedules: upserted, orphans: rows.map(scheduleOf) };
      }),

    list: async () => (await query(`select * from ${schedules} order by name`, [])).rows.map(scheduleOf),
    get,

    async pause(name, by) {
      const { rows } = await query(
        `update ${schedules}
         set paused_at = coalesce(paused_at, clock_timestamp()), paused_by = coalesce(paused_by, $2), updated_at = clock_timestamp()
         where name = $1 returning *`,
        [name, by],
      );
      if (rows[0] === undefined) throw unknown(name);
      return scheduleOf(rows[0]);
    },

    resume: (name) =>
      inTransaction(async (run) => {
        const row = await lockIn(run, name);
        const schedule = scheduleOf(row);
        if (schedule.pausedAt === undefined) return schedule;
        const progress = progressOf(row);
        const decidedTo = Math.max(progress.decidedTo, (row["now"] as Date).getTime());
        const nextAt = progress.nextAt === undefined ? undefined : nextOccurrence(timingOf(schedule), decidedTo);
        const { rows } = await run(
          `update ${schedules}
           set paused_at = null, paused_by = null, next_at = $2::timestamptz, decided_to = $3::timestamptz, updated_at = clock_timestamp()
           where name = $1 returning *`,
          [name, nextAt === undefined ? null : new Date(nextAt).toISOString(), new Date(decidedTo).toISOString()],
        );
        return scheduleOf(rows[0] ?? row);
      }),

    async delete(name) {
      const { rows } = await query(`delete from ${schedules} where name = $1 returning name`, [name]);
      return rows.length > 0;
    },

    trigger: (name) =>
      undone(() =>
        database.transaction(async (run) => {
          const row = await lockIn(run, name);
          const { job } = scheduleOf(row);
          const key = occurrenceId(name, row["now"] as Date, newId());
          const [made] = await enqueueIn(run, [
            { ...job, key, schedule: name, correlationId: key, sendBy: "dispatcher" },
          ]);
          if (made === undefined) throw unknown(name);
          await run(`update ${schedules} set last_job_id = $2::uuid where name = $1`, [name, made.id]);
          return { id: made.id, queue: job.queue, name: job.name, attempt: 0 };
        }),
      ),

    async preview(name, count) {
      const schedule = await get(name);
      if (schedule === undefined) throw unknown(name);
      const left = schedule.limit === undefined ? count : Math.min(count, schedule.limit - schedule.fired);
      return occurrencesFrom(schedule, left);
    },

    fire: (request) => undone(() => fireOnce(request)),
  };
}

function occurrencesFrom(schedule: Schedule, count: number): readonly Date[] {
  const timing = timingOf(schedule);
  const found: Date[] = [];
  let next = schedule.nextAt?.getTime();
  while (next !== undefined && found.length < count) {
    found.push(new Date(next));
    next = nextOccurrence(timing, next);
  }
  return found;
}

const unknown = (name: string): ScheduleError =>
  new ScheduleError("SCHEDULE_UNKNOWN", `there is no schedule "${name}"`, { name });
