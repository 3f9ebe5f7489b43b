import { finishedColumns } from "../follow-ups.ts";
import { archiveSql } from "../history.ts";
import type { FinishedState } from "../job.ts";
import type { Row } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";

/** Why and by whom jobs are cancelled. */
export interface CancelOrder {
  readonly reason: string;
  readonly by: string | null;
  /** Whether jobs that run are asked to stop; otherwise they are left alone. */
  readonly asksRunning: boolean;
}

/** What a cancel found. */
export type CancelAnswer =
  /** It did not run, and is over. */
  | { readonly id: string; readonly kind: "cancelled" }
  /** It runs: its worker aborts the signal, and whatever it then does but succeed ends as `cancelled`. */
  | { readonly id: string; readonly kind: "requested"; readonly workerId: string }
  | { readonly id: string; readonly kind: "finished"; readonly state: FinishedState }
  /** Unknown, or its history is past retention. */
  | { readonly id: string; readonly kind: "missing" };

export interface Cancelling {
  /** In the order of the ids. */
  readonly answers: readonly CancelAnswer[];
  /** Rows of those that ended, for the follow-ups. */
  readonly ended: readonly Row[];
}

const ids = `any (array(select value::uuid from json_array_elements_text($1::text::json) value))`;

const mostRounds = 3;

/**
 * Cancels jobs in the transaction of `run`. Locks them in id order, waiting for a claim or a settlement under way, and acts on what that made
 * of them. Index: primary keys.
 */
export async function cancelIn(
  run: RunSql,
  table: TableName,
  wanted: readonly string[],
  { reason, by, asksRunning }: CancelOrder,
): Promise<Cancelling> {
  const answers = new Map<string, CancelAnswer>();
  const ended: Row[] = [];
  let open = [...new Set(wanted.map((id) => id.toLowerCase()))];
  // A job that is brought back from history between the two statements shows in neither; the next round finds it.
  for (let round = 0; open.length > 0 && round < mostRounds; round += 1) {
    const { rows } = await run(cancelSql(table), [JSON.stringify(open), reason, by, asksRunning]);
    for (const row of rows) {
      const id = String(row["id"]);
      const { worker_id: workerId } = row;
      if (typeof workerId === "string") answers.set(id, { id, kind: "requested", workerId });
      else {
        ended.push(row);
        answers.set(id, { id, kind: "cancelled" });
      }
    }
    open = open.filter((id) => !answers.has(id));
    if (open.length > 0) open = await lookUp(run, table, open, answers);
  }
  for (const id of open) answers.set(id, { id, kind: "missing" });
  return { answers: wanted.map((id) => answers.get(id.toLowerCase()) ?? { id, kind: "missing" }), ended };
}

/** Answers for those that are finished or unknown; what it returns has come back to the hot table meanwhile. */
async function lookUp(
  run: RunSql,
  table: TableName,
  open: readonly string[],
  answers: Map<string, CancelAnswer>,
): Promise<string[]> {
  const { rows } = await run(
    `select id, null as state from ${table("jobs")} where id = ${ids}
     union all
     select id, state from ${table("jobs_history")} where id = ${ids}`,
    [JSON.stringify(open)],
  );
  const again: string[] = [];
  for (const row of rows) {
    const id = String(row["id"]);
    if (row["state"] === null) again.push(id);
    else answers.set(id, { id, kind: "finished", state: row["state"] as FinishedState });
  }
  for (const id of open) if (!answers.has(id) && !again.includes(id)) answers.set(id, { id, kind: "missing" });
  return again;
}

// `worker_id` is null for those that ended here. Locks in id order. Index: jobs (id).
function cancelSql(table: TableName): string {
  return `with target as materialized (
      select * from ${table("jobs")} where id = ${ids} order by id for update
    ),
    gone as (
      delete from ${table("jobs")} where id = any (array(select id from target where worker_id is null))
    ),
    archived as (
      ${archiveSql(table, {
        source: "target",
        where: "worker_id is null",
        state: "'cancelled'",
        reason: "$2::text",
        result: "null",
        errors: "errors",
        settled: "settled",
        stalls: "stalls",
        cancel: { reason: "$2::text", by: "$3::text" },
      })}
    ),
    asked as (
      update ${table("jobs")}
      set cancel_reason = coalesce(cancel_reason, $2::text), cancelled_by = coalesce(cancelled_by, $3::text),
        cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
      where $4::boolean and id = any (array(select id from target where worker_id is not null))
    )
    select ${finishedColumns}, worker_id, 'cancelled' as state, $2::text as reason from target`;
}
