import { finishedColumns } from "../follow-ups.ts";
import { archiveSql } from "../history.ts";
import type { Row } from "../postgres/database.ts";
import { byIdOnly, type RunSql, type TableName } from "../postgres/sql.ts";
import { skippedReason } from "./flow.ts";
import { skippableSql } from "./unblock.ts";

export interface Stop {
  readonly flowId: string;
  /** For the jobs: `FLOW_FAILED` or `FLOW_CANCELLED`. */
  readonly reason: string;
  readonly by: string | null;
}

/**
 * Cancels all jobs of a flow that do not run, and asks those that do to stop. The caller holds the flow's row. Locks all its unfinished
 * jobs in id order before it looks at their states, so that one that is just being unblocked, parked or retried is not missed.
 * Rows of the cancelled, for the follow-ups; ids of the running. Index: flow_nodes_open, primary keys.
 */
export async function stopJobs(
  run: RunSql,
  { flowId, reason, by }: Stop,
  table: TableName,
): Promise<{ readonly cancelled: readonly Row[]; readonly running: readonly string[] }> {
  const { rows } = await run(
    `with target as materialized (
       select j.* from ${table("flow_nodes")} n join ${table("jobs")} j on j.id = n.job_id
       where n.flow_id = $1 and n.state = 'open' and ${byIdOnly("j.state")} is not null
       order by j.id for update of j
     ),
     gone as (
       delete from ${table("jobs")} where id = any (array(select id from target where state <> 'running'))
     ),
     archived as (${archiveCancelled(table, "target", "state <> 'running'", "$2::text")}),
     asked as (
       update ${table("jobs")}
       set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()), cancel_reason = coalesce(cancel_reason, $2),
         cancelled_by = coalesce(cancelled_by, $3)
       where id = any (array(select id from target where state = 'running'))
     )
     select ${finishedColumns}, state = 'running' as is_running, 'cancelled' as state, $2::text as reason from target`,
    [flowId, reason, by],
  );
  return {
    cancelled: rows.filter((row) => row["is_running"] !== true),
    running: rows.filter((row) => row["is_running"] === true).map((row) => String(row["id"])),
  };
}

/** Cancels jobs that can never start, among `changed` and what waits for them. Rows for the follow-ups. */
export async function skipJobs(run: RunSql, changed: readonly string[], table: TableName): Promise<readonly Row[]> {
  const { rows } = await run(
    `with target as materialized (
       ${skippableSql(table, "unnest($1::uuid[]) as c(job_id)")}
     ),
     gone as (
       delete from ${table("jobs")} where id = any (array(select id from target))
     ),
     archived as (${archiveCancelled(table, "target", "true", `'${skippedReason}'`)})
     select ${finishedColumns}, 'cancelled' as state, '${skippedReason}' as reason from target`,
    [changed],
  );
  return rows;
}

const archiveCancelled = (table: TableName, source: string, where: string, reason: string): string =>
  archiveSql(table, {
    source,
    where,
    state: "'cancelled'",
    reason,
    result: "null",
    errors: "errors",
    settled: "settled",
    stalls: "stalls",
  });
