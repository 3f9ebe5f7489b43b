import { cancelSql } from "./cancel-sql.ts";
import { NotWaitingError } from "./errors.ts";
import type { FollowUps } from "./follow-ups.ts";
import type { JobStart } from "./job.ts";
import type { Database } from "./postgres/database.ts";
import type { Again } from "./postgres/retrying.ts";
import { byIdOnly, type RunSql, type TableName } from "./postgres/sql.ts";

/** Which waiting jobs: those of a queue, of a definition, or of a definition in a queue. */
export type WaitingFilter =
  | { readonly queue: string; readonly name?: string | undefined }
  | { readonly queue?: string | undefined; readonly name: string };

/**
 * Jobs that wait for their time: `scheduled`, and `retrying` between two attempts. What is due is released by a dispatcher, in the order
 * of due times and, at the same time, of ids.
 */
export interface Delayed {
  /** Due now. @throws NotWaitingError `JOB_NOT_WAITING` for a job in another state. */
  runNow(id: string): Promise<void>;
  /** All of them due now, in the order in which they would have been. Answers how many. */
  runAllNow(filter: WaitingFilter): Promise<{ readonly jobs: number }>;
  /** Due at another time, never earlier than that. @throws NotWaitingError `JOB_NOT_WAITING`. */
  reschedule(id: string, start: JobStart): Promise<{ readonly runAt: Date }>;
  /** Cancels it. @throws NotWaitingError `JOB_NOT_WAITING`: one that is ready or running is left alone. */
  cancel(id: string, reason: string): Promise<void>;
  /** How long until the next one is due by the database's clock, 0 if one is; `undefined` when none waits. */
  nextInMs(): Promise<number | undefined>;
}

export interface DelayedOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly followUps: FollowUps;
  readonly repeatable: Again;
  readonly undone: Again;
}

export function createDelayed(options: DelayedOptions): Delayed {
  const { database, table, followUps, repeatable, undone } = options;
  const sql = delayedSql(table);

  async function refuse(run: RunSql, id: string): Promise<never> {
    const [row] = (await run(sql.look, [id])).rows;
    throw new NotWaitingError(id, row === undefined ? undefined : String(row["state"]));
  }

  async function move(id: string, { delayMs, runAt }: JobStart): Promise<Date> {
    const [row] = await undone(() => database.run(sql.move, [id, delayMs ?? null, runAt?.toISOString() ?? null]));
    return row === undefined ? refuse(database.query, id) : (row["run_at"] as Date);
  }

  return {
    runNow: async (id) => {
      await move(id, {});
    },
    reschedule: async (id, start) => ({ runAt: await move(id, start) }),
    runAllNow: async ({ queue, name }) => {
      let jobs = 0;
      for (;;) {
        const moved = await repeatable(() =>
          database.run(sql.moveAll, [queue ?? null, name ?? null, jobsPerStatement]),
        );
        jobs += moved.length;
        if (moved.length < jobsPerStatement) return { jobs };
      }
    },
    cancel: async (id, reason) => {
      const finished = await undone(() =>
        database.transaction(async (run) => {
          const { rows } = await run(sql.cancel, [id, reason]);
          if (rows.length === 0) await refuse(run, id);
          return followUps.finished(run, rows);
        }),
      );
      await followUps.committed(finished);
    },
    nextInMs: async () => {
      const [row] = await repeatable(() => database.run(sql.next, []));
      return row === undefined ? undefined : Math.max(0, Number(row["next_in_ms"]));
    },
  };
}

const jobsPerStatement = 10_000;

function delayedSql(table: TableName) {
  const jobs = table("jobs");
  const isWaiting = `${byIdOnly("state")} in ('scheduled', 'retrying')`;
  return {
    // Locks one job, waiting for a dispatcher that has just taken it. Index: primary key.
    move: {
      name: "warren_delayed_move",
      text: `update ${jobs}
        set run_at = coalesce($3::timestamptz, clock_timestamp() + coalesce($2::double precision, 0) * interval '1 millisecond')
        where id = $1 and ${isWaiting} returning run_at`,
    },
    // Those not due yet, a microsecond apart in the order in which they would have been. A row that a dispatcher has locked is due.
    // Index: jobs_due (run_at, id).
    moveAll: {
      name: "warren_delayed_move_all",
      text: `with picked as materialized (
          select id, run_at from ${jobs}
          where state in ('scheduled', 'retrying') and run_at > statement_timestamp()
            and ($1::text is null or queue = $1) and ($2::text is null or name = $2)
          order by run_at, id limit $3 for update skip locked
        ),
        placed as (
          select id, row_number() over (order by run_at, id) as place, count(*) over () as places from picked
        )
        update ${jobs} j
        set run_at = statement_timestamp() - (p.places - p.place) * interval '1 microsecond'
        from placed p
        where j.id = any (array(select id from picked)) and j.id = p.id
        returning j.id`,
    },
    // Index: primary keys.
    cancel: cancelSql(table, { where: `id = $1 and ${isWaiting}`, reason: "$2::text" }),
    look: `select state from ${jobs} where id = $1
      union all
      select state from ${table("jobs_history")} where id = $1`,
    // One index entry. Index: jobs_due (run_at, id). Locks nothing.
    next: {
      name: "warren_delayed_next",
      text: `select extract(epoch from run_at - clock_timestamp()) * 1000 as next_in_ms from ${jobs}
        where state in ('scheduled', 'retrying') order by run_at, id limit 1`,
    },
  } as const;
}
