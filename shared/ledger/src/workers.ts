import type { Database } from "./database.ts";
import { gateOfReturned } from "./gate.ts";
import type { RunSql, TableName } from "./sql.ts";

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

export interface Workers {
  register(worker: NewWorker): Promise<void>;
  beat(workerId: string): Promise<{ readonly alive: boolean }>;
  resize(workerId: string, concurrency: number): Promise<void>;
  retire(workerId: string): Promise<{ readonly handedBack: number }>;
  runningOf(workerId: string): Promise<readonly HeldAttempt[]>;
}

export function createWorkers(database: Database, table: TableName): Workers {
  // Safe to repeat: a register whose answer was lost finds its own row.
  const register = {
    name: "warren_register_worker",
    text: `insert into ${table("workers")} (id, host, pid, version, queues, concurrency)
      values ($1, $2, $3, $4, $5, $6) on conflict (id) do nothing`,
  };
  // No key column changes, so that it passes claims that hold the row's key. Index: workers (id).
  const beat = {
    name: "warren_beat",
    text: `update ${table("workers")} set beat_seq = beat_seq + 1, beat_at = clock_timestamp()
      where id = $1 and ended_at is null returning id`,
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
  const handBack = handBackSql(table);

  return {
    register: async ({ id, host, pid, version, queues, concurrency }) => {
      await database.run(register, [id, host, pid, version, queues, concurrency]);
    },
    beat: async (workerId) => ({ alive: (await database.run(beat, [workerId])).length > 0 }),
    resize: async (workerId, concurrency) => {
      await database.run(resize, [workerId, concurrency]);
    },
    retire: (workerId) =>
      database.transaction(async (run) => {
        await endLease(run, table, { id: workerId, as: "retired" });
        const { rows } = await run(handBack, [workerId]);
        return { handedBack: rows.length };
      }),
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

// Locks the worker's running jobs in id order. Index: jobs_running (worker_id), jobs (id).
const handBackSql = (table: TableName): string => `with mine as (
    select id from ${table("jobs")} where worker_id = $1 and state = 'running' order by id for update
  )
  update ${table("jobs")}
  set state = 'ready', worker_id = null, excused = excused + 1, sent_at = null, send_after = clock_timestamp(),
    gate = ${gateOfReturned(table, "")}
  where id = any (array(select id from mine))
  returning id`;
