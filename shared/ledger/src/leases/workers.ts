import { type Watch, watchesSql } from "../control/watches.ts";
import { type FollowUps, finishedColumns } from "../follow-ups.ts";
import { gateOfReturned } from "../gate.ts";
import { archiveSql } from "../history.ts";
import type { Database, Row } from "../postgres/database.ts";
import { byIdOnly, type RunSql, type TableName } from "../postgres/sql.ts";

export interface NewWorker {
  /** A UUID, fresh at each start and after each lost lease. */
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** Version of the service that runs it. */
  readonly version: string;
  readonly queues: readonly string[];
  readonly concurrency: number;
}

/** A running job as its worker's lease has it. */
export interface HeldAttempt {
  readonly id: string;
  readonly attempt: number;
  /** Database time. */
  readonly claimedAt: Date;
}

/** A running job that somebody wants cancelled. */
export interface CancelRequest {
  readonly id: string;
  readonly attempt: number;
  readonly reason: string;
  readonly by: string | undefined;
}

export interface BeatAnswer {
  /** `false`: the lease is over, all claims were taken away. */
  readonly alive: boolean;
  /** Of the worker's running jobs, those whose signals should abort. */
  readonly cancels: readonly CancelRequest[];
  /** What somebody wants to hear of; empty nearly always. */
  readonly watches: readonly Watch[];
}

/** A worker whose lease has not ended. */
export interface LivingWorker extends NewWorker {
  readonly startedAt: Date;
  /** Since its last beat, by the database's clock. */
  readonly silentMs: number;
  /** Jobs that run in it now. */
  readonly running: number;
}

export interface Workers {
  living(): Promise<readonly LivingWorker[]>;
  register(worker: NewWorker): Promise<void>;
  beat(workerId: string): Promise<BeatAnswer>;
  resize(workerId: string, concurrency: number): Promise<void>;
  retire(workerId: string): Promise<{ readonly handedBack: number }>;
  runningOf(workerId: string): Promise<readonly HeldAttempt[]>;
}

export interface WorkersOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly followUps: FollowUps;
}

export function createWorkers({ database, table, followUps }: WorkersOptions): Workers {
  // Safe to repeat: a register whose answer was lost finds its own row.
  const register = {
    name: "warren_register_worker",
    text: `insert into ${table("workers")} (id, host, pid, version, queues, concurrency)
      values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing`,
  };
  // No key column changes, so that it passes claims that hold the row's key. Index: workers (id); jobs_cancel_requested
  // (worker_id), which has no entry unless somebody cancels: the question costs one look at an empty page.
  const beat = {
    name: "warren_beat",
    text: `update ${table("workers")} set beat_seq = beat_seq + 1, beat_at = clock_timestamp()
      where id = $1 and ended_at is null
      returning (
        select jsonb_agg(jsonb_build_object('id', j.id, 'attempt', j.attempt, 'reason', j.cancel_reason, 'by', j.cancelled_by))
        from ${table("jobs")} j
        where j.worker_id = $1 and j.cancel_requested_at is not null and ${byIdOnly("j.state")} = 'running'
      ) as cancels, ${watchesSql(table)} as watches`,
  };
  // No key column changes, as for a beat. Index: workers (id).
  const resize = {
    name: "warren_resize_worker",
    text: `update ${table("workers")} set concurrency = $2 where id = $1 and ended_at is null`,
  };
  // Index: jobs_running (worker_id).
  const runningOf = {
    name: "warren_running_of",
    text: `select id, attempt, claimed_at from ${table("jobs")} where worker_id = $1 and state = 'running' order by id`,
  };
  // One row a living worker; reads the small table whole. Index: jobs_running (worker_id), as many entries as jobs run.
  const living = {
    name: "warren_living_workers",
    text: `select id, host, pid, version, queues, concurrency, started_at,
        extract(epoch from clock_timestamp() - beat_at) * 1000 as silent_ms,
        (select count(*)::integer from ${table("jobs")} j where j.worker_id = w.id and j.state = 'running') as running
      from ${table("workers")} w where ended_at is null order by started_at, id`,
  };
  const handBack = handBackSql(table);

  return {
    living: async () =>
      (await database.run(living, [])).map((row) => ({
        id: String(row["id"]),
        host: String(row["host"]),
        pid: Number(row["pid"]),
        version: String(row["version"]),
        queues: row["queues"] as readonly string[],
        concurrency: Number(row["concurrency"]),
        startedAt: row["started_at"] as Date,
        silentMs: Math.max(0, Number(row["silent_ms"])),
        running: Number(row["running"]),
      })),
    register: async ({ id, host, pid, version, queues, concurrency }) => {
      await database.run(register, [id, host, pid, version, queues, concurrency]);
    },
    beat: async (workerId) => {
      const [row] = await database.run(beat, [workerId]);
      if (row === undefined) return { alive: false, cancels: [], watches: [] };
      const cancels = (row["cancels"] ?? []) as readonly (Omit<CancelRequest, "by"> & { readonly by: string | null })[];
      return {
        alive: true,
        cancels: cancels.map((cancel) => ({ ...cancel, by: cancel.by ?? undefined })),
        watches: (row["watches"] ?? []) as readonly Watch[],
      };
    },
    resize: async (workerId, concurrency) => {
      await database.run(resize, [workerId, concurrency]);
    },
    retire: async (workerId) => {
      const { rows, finished } = await database.transaction(async (run) => {
        await endLease(run, table, { id: workerId, as: "retired" });
        const handed = (await run(handBack, [workerId])).rows;
        return { rows: handed, finished: await followUps.finished(run, handed.filter(isCancelled)) };
      });
      await followUps.committed(finished);
      return { handedBack: rows.filter((row) => !isCancelled(row)).length };
    },
    runningOf: async (workerId) => {
      const rows = await database.run(runningOf, [workerId]);
      return rows.map((row) => ({
        id: String(row["id"]),
        attempt: Number(row["attempt"]),
        claimedAt: row["claimed_at"] as Date,
      }));
    },
  };
}

/**
 * Ends a lease for good. The lock waits for claims under way, which hold the worker's key, and stops further ones; so a statement
 * after this one sees every job that the worker ever claimed. Returns whether it was this call that ended it.
 */
export async function endLease(
  run: RunSql,
  table: TableName,
  end: { readonly id: string; readonly as: "retired" | "expired"; readonly beatSeq?: string },
): Promise<boolean> {
  const { rows } = await run(
    `select id from ${table("workers")}
     where id = $1 and ended_at is null and ($2::bigint is null or beat_seq = $2::bigint) for update`,
    [end.id, end.beatSeq ?? null],
  );
  if (rows.length === 0) return false;
  await run(`update ${table("workers")} set ended_at = clock_timestamp(), ended_as = $2 where id = $1`, [
    end.id,
    end.as,
  ]);
  return true;
}

const isCancelled = (row: Row): boolean => row["state"] === "cancelled";

// Locks the worker's running jobs in id order. Index: jobs_running (worker_id), jobs (id). What was to be cancelled is not handed on.
const handBackSql = (table: TableName): string => `with mine as materialized (
    select * from ${table("jobs")} where worker_id = $1 and state = 'running' order by id for update
  ),
  gone as (
    delete from ${table("jobs")} where id = any (array(select id from mine where cancel_requested_at is not null))
  ),
  archived as (
    ${archiveSql(table, {
      source: "mine",
      where: "cancel_requested_at is not null",
      state: "'cancelled'",
      reason: "cancel_reason",
      result: "null",
      errors: "errors",
      settled: "settled",
      stalls: "stalls",
    })}
  ),
  back as (
    update ${table("jobs")}
    set state = 'ready', worker_id = null, excused = excused + 1, sent_at = null, send_after = clock_timestamp(),
      gate = ${gateOfReturned(table, "")}
    where id = any (array(select id from mine where cancel_requested_at is null))
  )
  select ${finishedColumns}, case when cancel_requested_at is not null then 'cancelled' else 'ready' end as state,
    cancel_reason as reason
  from mine`;
