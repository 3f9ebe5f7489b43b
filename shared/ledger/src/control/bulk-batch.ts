import type { Row } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { bringBack } from "./bring-back.ts";
import type { BulkOperation } from "./bulk-operation.ts";
import { type CancelAnswer, cancelIn } from "./cancel.ts";
import { discardIn } from "./discard.ts";

export interface Done {
  readonly ended: readonly Row[];
  /** One entry a job that was left alone: why. */
  readonly refused: readonly string[];
  readonly cancels: readonly CancelAnswer[];
}

const nothing: Done = { ended: [], refused: [], cancels: [] };

/** Does to these jobs what the operation asks for, in the transaction of `run`. */
export async function actOn(
  run: RunSql,
  table: TableName,
  operation: BulkOperation,
  ids: readonly string[],
): Promise<Done> {
  if (ids.length === 0) return nothing;
  const { action, by, reason } = operation;
  if (action === "cancel") return cancelBatch(run, table, operation, ids);
  if (action === "retry") {
    const answers = await bringBack(run, table, ids, {});
    return { ...nothing, refused: answers.map(({ kind }) => kind).filter((kind) => kind !== "retried") };
  }
  const answers = await discardIn(run, table, ids, { by: `${by}: ${reason}`, discards: action === "discard" });
  return { ...nothing, refused: answers.map(({ kind }) => kind).filter((kind) => kind !== "done") };
}

/** Where the filter names states, a job that has moved on since is left alone. Locks in id order. */
async function cancelBatch(
  run: RunSql,
  table: TableName,
  operation: BulkOperation,
  ids: readonly string[],
): Promise<Done> {
  const { by, reason, filter } = operation;
  const states = filter["states"];
  let chosen = ids;
  if (states !== undefined) {
    const { rows } = await run(
      `with locked as materialized (
         select id, state from ${table("jobs")}
         where id = any (array(select value::uuid from json_array_elements_text($1::text::json) value)) order by id for update
       )
       select id from locked where $2::text::jsonb ? state`,
      [JSON.stringify(ids), JSON.stringify(states)],
    );
    chosen = rows.map((row) => String(row["id"]));
  }
  const { answers, ended } = await cancelIn(run, table, chosen, { by, reason, asksRunning: true });
  const refused: string[] = answers.map(({ kind }) => kind).filter((kind) => kind === "finished" || kind === "missing");
  for (let moved = chosen.length; moved < ids.length; moved += 1) refused.push("state_changed");
  return { ended, refused, cancels: answers.filter(({ kind }) => kind === "requested") };
}
