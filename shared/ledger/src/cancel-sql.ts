import { finishedColumns } from "./follow-ups.ts";
import { archiveSql } from "./history.ts";
import type { TableName } from "./postgres/sql.ts";

/**
 * Cancels the jobs that fit `where` and answers rows for `FollowUps.finished`. `where` must leave running ones out: only their worker
 * can end them. Locks in id order, waiting for a claim or a settlement under way, and then sees what that made of the job.
 */
export function cancelSql(
  table: TableName,
  { where, reason }: { readonly where: string; readonly reason: string },
): string {
  return `with target as materialized (
      select * from ${table("jobs")} where ${where} order by id for update
    ),
    gone as (
      delete from ${table("jobs")} where id = any (array(select id from target))
    ),
    archived as (
      ${archiveSql(table, {
        source: "target",
        where: "true",
        state: "'cancelled'",
        reason,
        result: "null",
        errors: "errors",
        settled: "settled",
        stalls: "stalls",
      })}
    )
    select ${finishedColumns}, 'cancelled' as state, ${reason} as reason from target`;
}
