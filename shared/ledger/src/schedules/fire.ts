import { cancelSql } from "../cancel-sql.ts";
import type { Enqueue } from "../enqueue/enqueue.ts";
import type { FinishedJob, FollowUps } from "../follow-ups.ts";
import type { NewJob, SendableJob } from "../job.ts";
import type { Database, Row } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { planRound, type Round } from "./plan.ts";
import { occurrenceId, progressOf, type Schedule, scheduleOf, timingOf } from "./schedule.ts";
import type { ScheduleClock } from "./store.ts";

export interface FireOptions {
  readonly database: Pick<Database, "query" | "run" | "transaction">;
  readonly table: TableName;
  readonly enqueueIn: Enqueue["enqueueIn"];
  readonly followUps: FollowUps;
  readonly clock: ScheduleClock;
}

/** What a dispatcher asks for. */
export interface FireRequest {
  /** Schedules of one round at most. */
  readonly limit: number;
  /** Schedules that this process could not read a moment ago. */
  readonly except?: readonly string[];
  /** Whether the caller publishes the jobs; otherwise whoever looks for unsent ones does. */
  readonly publish: boolean;
}

/** What a round of firing did. */
export interface Fired {
  /** Jobs made, to be published by the caller if it said so. */
  readonly jobs: readonly SendableJob[];
  /** For each schedule that did something. */
  readonly rounds: readonly FiredRound[];
  /** Schedules that this process cannot read: another version wrote them, or it does not know their time zone. */
  readonly unreadable: readonly { readonly name: string; readonly error: unknown }[];
  /** How long until the next occurrence by the database's clock; `undefined` when none is known. */
  readonly nextInMs: number | undefined;
}

export interface FiredRound {
  readonly name: string;
  /** Intended instants of the jobs made. */
  readonly fired: readonly Date[];
  readonly missed: number;
  readonly overlapped: number;
}

interface Planned {
  readonly schedule: Schedule;
  readonly round: Round;
}

/**
 * Makes the jobs of schedules that are due. Any number of dispatchers may call it: a schedule's row is locked while its occurrences are
 * decided and their jobs made, all in one transaction, and an occurrence's job has an id that can exist but once.
 */
export function createFire(options: FireOptions): (request: FireRequest) => Promise<Fired> {
  const { database, table, enqueueIn, followUps, clock } = options;
  const sql = fireSql(table);

  async function take(run: RunSql, { limit, except = [] }: FireRequest): Promise<readonly Row[]> {
    const due = (await run(sql.due, [limit, except, clock() ?? null])).rows;
    const names = [...except, ...due.map((row) => String(row["name"]))];
    const waiting = await run(sql.waiting, [limit, names, clock() ?? null]);
    return [...due, ...waiting.rows];
  }

  async function fire(run: RunSql, request: FireRequest) {
    const rows = await take(run, request);
    const unfinished = new Set(
      (await run(sql.unfinished, [rows.map((row) => row["name"])])).rows.map((row) => String(row["name"])),
    );
    const { planned, unreadable } = planAll(rows, unfinished);
    const finished = await cancelOthers(run, planned);
    const jobs = await makeJobs(run, planned, request.publish);
    if (planned.length > 0) await run(sql.advance, [JSON.stringify(planned.map((one) => advanceRow(one, jobs)))]);
    return { planned, unreadable, finished, jobs };
  }

  async function cancelOthers(run: RunSql, planned: readonly Planned[]): Promise<readonly FinishedJob[]> {
    const names = planned.filter(({ round }) => round.cancelOthers).map(({ schedule }) => schedule.name);
    if (names.length === 0) return [];
    const { rows } = await run(sql.cancelWaiting, [names]);
    await run(sql.cancelRunning, [names]);
    return followUps.finished(run, rows);
  }

  async function makeJobs(run: RunSql, planned: readonly Planned[], publish: boolean): Promise<readonly MadeJob[]> {
    const wanted = planned.flatMap(({ schedule, round }) =>
      round.start.map((at) => ({ schedule: schedule.name, job: jobAt(schedule, new Date(at), publish) })),
    );
    const results = await enqueueIn(
      run,
      wanted.map(({ job }) => job),
    );
    return wanted.map(({ schedule, job }, index) => {
      const result = results[index];
      // a job of a governed queue waits in the ledger for its turn
      const isNew = result?.created === true && result.state === "ready" && result.waits !== true;
      return {
        schedule,
        id: result?.id,
        send: isNew ? { id: result.id, queue: job.queue, name: job.name, attempt: 0 } : undefined,
      };
    });
  }

  return async (request) => {
    const [look] = await database.run(sql.look, [request.except ?? [], clock() ?? null]);
    const nextInMs = look?.["next_in_ms"] === null ? undefined : Number(look?.["next_in_ms"]);
    const isDue = look?.["waiting"] === true || (nextInMs !== undefined && nextInMs <= 0);
    if (!isDue) return { jobs: [], rounds: [], unreadable: [], nextInMs };
    const { planned, unreadable, finished, jobs } = await database.transaction((run) => fire(run, request));
    await followUps.committed(finished);
    return {
      jobs: jobs.flatMap(({ send }) => (send === undefined ? [] : [send])),
      rounds: planned.map(({ schedule, round }) => ({
        name: schedule.name,
        fired: round.start.map((at) => new Date(at)),
        missed: round.missed,
        overlapped: round.overlapped,
      })),
      unreadable,
      // nothing got: what is due is in another dispatcher's hands
      nextInMs: planned.length > 0 ? 0 : undefined,
    };
  };
}

interface MadeJob {
  readonly schedule: string;
  readonly id: string | undefined;
  readonly send: SendableJob | undefined;
}

function planAll(rows: readonly Row[], unfinished: ReadonlySet<string>) {
  const planned: Planned[] = [];
  const unreadable: { name: string; error: unknown }[] = [];
  for (const row of rows) {
    const schedule = scheduleOf(row);
    try {
      const now = (row["now"] as Date).getTime();
      const facts = { now, unfinished: unfinished.has(schedule.name) ? 1 : 0 };
      planned.push({ schedule, round: planRound(timingOf(schedule), progressOf(row), facts) });
    } catch (error) {
      unreadable.push({ name: schedule.name, error });
    }
  }
  return { planned, unreadable };
}

/** The job of an occurrence. It has been due since its instant, so that its wait tells how late the schedule is. */
function jobAt({ name, job }: Schedule, at: Date, publish: boolean): NewJob {
  const key = occurrenceId(name, at);
  return { ...job, key, schedule: name, correlationId: key, runAt: at, sendBy: publish ? "enqueuer" : "dispatcher" };
}

function advanceRow({ schedule, round }: Planned, jobs: readonly MadeJob[]) {
  const { progress } = round;
  const last = round.start.at(-1);
  return {
    name: schedule.name,
    next_at: progress.nextAt === undefined ? null : new Date(progress.nextAt).toISOString(),
    decided_to: new Date(progress.decidedTo).toISOString(),
    waiting: progress.waiting.map((at) => new Date(at).toISOString()),
    fired: progress.fired,
    missed: round.missed,
    overlapped: round.overlapped,
    last_at: last === undefined ? null : new Date(last).toISOString(),
    last_job_id: jobs.findLast((job) => job.schedule === schedule.name)?.id ?? null,
  };
}

/** The database's time, unless the parameter gives another one. */
const now = (parameter: string): string => `coalesce(${parameter}::timestamptz, clock_timestamp())`;

function fireSql(table: TableName) {
  const [schedules, jobs] = [table("schedules"), table("jobs")];
  // under another overlap policy than `queue` nothing waits: what did when the policy was changed is decided at once
  const free = `waiting <> '{}' and paused_at is null
    and (overlap <> 'queue' or not exists (select from ${jobs} j where j.schedule = s.name))`;
  return {
    // One index entry, and those that wait. Index: schedules_due (next_at), schedules_waiting, jobs_schedule. Locks nothing.
    look: {
      name: "warren_schedules_look",
      text: `select extract(epoch from (
          select next_at from ${schedules} where paused_at is null and name <> all ($1::text[]) order by next_at limit 1
        ) - ${now("$2")}) * 1000 as next_in_ms,
        exists (select from ${schedules} s where ${free} and name <> all ($1::text[])) as waiting`,
    },
    // Locked rows are another dispatcher's. Index: schedules_due (next_at).
    due: `select *, ${now("$3")} as now from ${schedules}
      where paused_at is null and next_at <= ${now("$3")} and name <> all ($2::text[])
      order by next_at limit $1 for update skip locked`,
    // Index: schedules_waiting (name), jobs_schedule (schedule).
    waiting: `select *, ${now("$3")} as now from ${schedules} s
      where ${free} and name <> all ($2::text[]) order by name limit $1 for update skip locked`,
    // Index: jobs_schedule (schedule), one entry a name.
    unfinished: `select w.name from unnest($1::text[]) as w(name) where exists (select from ${jobs} j where j.schedule = w.name)`,
    // Index: jobs_schedule (schedule).
    cancelWaiting: cancelSql(table, {
      where: "schedule = any ($1::text[]) and state <> 'running'",
      reason: "'SCHEDULE_OVERLAP'",
    }),
    // Their workers read it. Locks in id order. Index: jobs_schedule (schedule).
    cancelRunning: `with target as materialized (
        select id from ${jobs}
        where schedule = any ($1::text[]) and state = 'running' and cancel_requested_at is null order by id for update
      )
      update ${jobs} j
      set cancel_requested_at = clock_timestamp(), cancel_reason = 'SCHEDULE_OVERLAP', cancelled_by = 'schedule:' || j.schedule
      where j.id = any (array(select id from target))`,
    // Rows that this transaction has locked. Index: primary key.
    advance: `update ${schedules} s
      set next_at = r.next_at, decided_to = r.decided_to, waiting = coalesce(r.waiting, '{}'), fired = r.fired,
        missed = s.missed + r.missed, overlapped = s.overlapped + r.overlapped,
        last_at = coalesce(r.last_at, s.last_at), last_job_id = coalesce(r.last_job_id, s.last_job_id)
      from json_to_recordset($1::text::json) as r(
        name text, next_at timestamptz, decided_to timestamptz, waiting timestamptz[], fired bigint, missed bigint,
        overlapped bigint, last_at timestamptz, last_job_id uuid
      )
      where s.name = r.name`,
  } as const;
}
