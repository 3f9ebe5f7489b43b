import type { JobState } from "../job.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";

/** What became of a wish to put a finished job aside, or to take it back. */
export type DiscardAnswer =
  | { readonly id: string; readonly kind: "done" }
  /** It was so already. */
  | { readonly id: string; readonly kind: "unchanged" }
  /** Only dead and cancelled jobs can be discarded. */
  | { readonly id: string; readonly kind: "refused"; readonly state: JobState }
  | { readonly id: string; readonly kind: "missing" };

const ids = `any (array(select value::uuid from json_array_elements_text($1::text::json) value))`;

/**
 * Marks dead and cancelled jobs as seen to, or takes that back. They stay in history until retention. Locks in id order. Index: primary keys.
 */
export async function discardIn(
  run: RunSql,
  table: TableName,
  wanted: readonly string[],
  { by, discards }: { readonly by: string; readonly discards: boolean },
): Promise<readonly DiscardAnswer[]> {
  const asked = [...new Set(wanted.map((id) => id.toLowerCase()))];
  const { rows } = await run(
    `with target as materialized (
       select id, state, discarded_at is not null as is_discarded from ${table("jobs_history")} where id = ${ids}
       order by id for update
     ),
     changed as (
       update ${table("jobs_history")}
       set discarded_at = case when $3::boolean then clock_timestamp() end, discarded_by = case when $3::boolean then $2::text end
       where id = any (array(select id from target where state <> 'succeeded' and is_discarded <> $3::boolean))
     )
     select id, state, is_discarded from target
     union all
     select id, state, false from ${table("jobs")} where id = ${ids}`,
    [JSON.stringify(asked), by, discards],
  );
  const answers = new Map<string, DiscardAnswer>();
  for (const row of rows) {
    const id = String(row["id"]);
    const state = row["state"] as JobState;
    if (state !== "dead" && state !== "cancelled") answers.set(id, { id, kind: "refused", state });
    else answers.set(id, { id, kind: row["is_discarded"] === discards ? "unchanged" : "done" });
  }
  return wanted.map((id) => answers.get(id.toLowerCase()) ?? { id, kind: "missing" });
}
