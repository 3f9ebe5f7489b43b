import { type FollowUps, finishedColumns } from "../follow-ups.ts";
import { gateOfReturned } from "../gate.ts";
import { appendErrorSql, archiveSql } from "../history.ts";
import type { SendableJob } from "../job.ts";
import type { Database } from "../postgres/database.ts";
import type { TableName } from "../postgres/sql.ts";
import { sendable } from "../release.ts";
import { endLease } from "./workers.ts";

/** A living worker's beat. `beatSeq` is a bigint as text. */
export interface Beat {
  readonly id: string;
  readonly beatSeq: string;
  readonly host: string;
  readonly pid: number;
  readonly queues: readonly string[];
  /** How old the beat is by the database's clock; for people. `observe` decides, not this. */
  readonly ageMs: number;
}

/** What became of an expired worker's jobs. `expired: false`: it beat meanwhile, or another dispatcher was first. */
export type Expired =
  | { readonly expired: false }
  | {
      readonly expired: true;
      /** Ready again, to be published by the caller within 10 s. */
      readonly rescued: readonly SendableJob[];
      /** Jobs of governed queues, which wait for another release. */
      readonly waiting: readonly string[];
      /** Stalled once too often: dead, with the reason `JOB_STALLED`. */
      readonly dead: readonly string[];
      /** Somebody had asked for their cancelling. */
      readonly cancelled: readonly string[];
    };

export interface Rescue {
  readonly beats: () => Promise<readonly Beat[]>;
  expire(worker: { readonly id: string; readonly beatSeq: string }): Promise<Expired>;
}

export interface RescueOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly followUps: FollowUps;
}

export function createRescue({ database, table, followUps }: RescueOptions): Rescue {
  // One row a living worker; reads the small table whole.
  const beats = {
    name: "warren_beats",
    text: `select id, beat_seq, host, pid, queues, extract(epoch from clock_timestamp() - beat_at) * 1000 as age_ms
      from ${table("workers")} where ended_at is null order by id`,
  };
  const rescue = rescueSql(table);

  return {
    beats: async () => {
      const rows = await database.run(beats, []);
      return rows.map((row) => ({
        id: String(row["id"]),
        beatSeq: String(row["beat_seq"]),
        host: String(row["host"]),
        pid: Number(row["pid"]),
        queues: row["queues"] as readonly string[],
        ageMs: Number(row["age_ms"]),
      }));
    },
    expire: async ({ id, beatSeq }) => {
      const expired = await database.transaction(async (run) => {
        if (!(await endLease(run, table, { id, as: "expired", beatSeq }))) return undefined;
        const { rows } = await run(rescue, [id]);
        const ended = rows.filter((row) => row["state"] !== null);
        const back = rows.filter((row) => row["state"] === null);
        return { back, ended, finished: await followUps.finished(run, ended) };
      });
      if (expired === undefined) return { expired: false };
      await followUps.committed(expired.finished);
      return {
        expired: true,
        rescued: expired.back.filter((row) => row["gate"] === 0).map(sendable),
        waiting: expired.back.filter((row) => row["gate"] !== 0).map((row) => String(row["id"])),
        dead: expired.ended.filter((row) => row["state"] === "dead").map((row) => String(row["id"])),
        cancelled: expired.ended.filter((row) => row["state"] === "cancelled").map((row) => String(row["id"])),
      };
    },
  };
}

// Locks the worker's running jobs in id order, after its own row was locked by another statement of the transaction.
// Index: jobs_running (worker_id), primary keys. A stall is an excused claim; one too many and the job is dead. One that
// was to be cancelled does not run again.
function rescueSql(table: TableName): string {
  const endReason = `case when ending = 'cancelled' then cancel_reason else 'JOB_STALLED' end`;
  const error = `jsonb_build_object('code', 'JOB_STALLED', 'message', 'the worker ' || worker_id || ' was lost while it ran the job')`;
  return `with lost as materialized (
    select *, case
        when cancel_requested_at is not null then 'cancelled'
        when stalls >= max_stalls then 'dead'
      end as ending
    from ${table("jobs")}
    where worker_id = $1 and state = 'running' order by id for update
  ),
  gone as (
    delete from ${table("jobs")} where id = any (array(select id from lost where ending is not null))
  ),
  archived as (
    ${archiveSql(table, {
      source: "lost",
      where: "ending is not null",
      state: "ending",
      reason: endReason,
      result: "null",
      errors: appendErrorSql("errors", error, "attempt"),
      settled: "settled",
      stalls: "stalls + 1",
    })}
  ),
  freed as (
    update ${table("jobs")}
    set state = 'ready', worker_id = null, stalls = stalls + 1, excused = excused + 1, sent_at = null,
      send_after = clock_timestamp() + interval '10 seconds', gate = ${gateOfReturned(table, "")},
      errors = ${appendErrorSql("errors", error, "attempt")}
    where id = any (array(select id from lost where ending is null))
  )
  select ${finishedColumns}, attempt, gate, ending as state, ${endReason} as reason from lost order by id`;
}
