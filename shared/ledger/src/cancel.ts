import type { Database } from "./database.ts";
import { type FollowUps, finishedColumns } from "./follow-ups.ts";
import { archiveSql } from "./history.ts";
import type { FinishedState } from "./job.ts";
import type { TableName } from "./sql.ts";

export type Cancelled =
  | { readonly kind: "cancelled" }
  /** Only its worker can end it. */
  | { readonly kind: "running"; readonly workerId: string }
  | { readonly kind: "finished"; readonly state: FinishedState }
  | { readonly kind: "missing" };

export interface CancelOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly followUps: FollowUps;
}

export function createCancel({
  database,
  table,
  followUps,
}: CancelOptions): (id: string, reason: string) => Promise<Cancelled> {
  // Locks one job, waiting for a claim or a settlement under way, and then sees what that made of it. Index: primary keys.
  const cancel = `with target as materialized (
        select * from ${table("jobs")} where id = $1 and state <> 'running' for update
      ),
      gone as (
        delete from ${table("jobs")} where id = any (array(select id from target))
      ),
      archived as (
        ${archiveSql(table, {
          source: "target",
          where: "true",
          state: "'cancelled'",
          reason: "$2::text",
          result: "null",
          errors: "errors",
          settled: "settled",
          stalls: "stalls",
        })}
      )
      select ${finishedColumns}, 'cancelled' as state, $2::text as reason from target`;
  const look = {
    name: "warren_cancel_look",
    text: `select state, worker_id from ${table("jobs")} where id = $1
      union all
      select state, null from ${table("jobs_history")} where id = $1`,
  };

  return async (id, reason) => {
    const { cancelled, finished } = await database.transaction(async (run) => {
      const { rows } = await run(cancel, [id, reason]);
      return { cancelled: rows.length > 0, finished: await followUps.finished(run, rows) };
    });
    await followUps.committed(finished);
    if (cancelled) return { kind: "cancelled" };
    const [row] = await database.run(look, [id]);
    if (row === undefined) return { kind: "missing" };
    const state = String(row["state"]);
    if (state === "succeeded" || state === "dead" || state === "cancelled") return { kind: "finished", state };
    // It ran when the first statement looked. Should its worker have let go since, the caller asks again.
    return { kind: "running", workerId: String(row["worker_id"]) };
  };
}
