import type { FinishedJob } from "../follow-ups.ts";
import type { RunSql } from "../postgres/sql.ts";
import { type BringBackDeps, bringBack, type RetryAnswer, type StateChanged } from "./bring-back.ts";
import type { BulkOperation } from "./bulk-operation.ts";
import { retriedStates } from "./bulk-targets.ts";
import { type CancelAnswer, cancelIn } from "./cancel.ts";
import { discardIn } from "./discard.ts";

export interface Done {
  /** To be followed up after the commit. */
  readonly finished: readonly FinishedJob[];
  /** One entry a job that was left alone: why. */
  readonly refused: readonly string[];
  readonly cancels: readonly CancelAnswer[];
}

const nothing: Done = { finished: [], refused: [], cancels: [] };

/** Does to these jobs what the operation asks for, in the transaction of `run`. */
export async function actOn(
  run: RunSql,
  deps: BringBackDeps,
  operation: BulkOperation,
  ids: readonly string[],
): Promise<Done> {
  if (ids.length === 0) return nothing;
  const { action, by, reason } = operation;
  if (action === "cancel") return cancelBatch(run, deps, operation, ids);
  if (action === "retry") {
    const { answers, finished } = await bringBack(run, deps, ids, {}, retriedStates(operation.filter["states"]));
    return { ...nothing, finished, refused: answers.map(whyNot).filter((why) => why !== undefined) };
  }
  const answers = await discardIn(run, deps.table, ids, { by: `${by}: ${reason}`, discards: action === "discard" });
  return { ...nothing, refused: answers.map(({ kind }) => kind).filter((kind) => kind !== "done") };
}

function whyNot(answer: RetryAnswer | StateChanged): string | undefined {
  if (answer.kind === "retried") return undefined;
  return answer.kind === "flow_refused" ? answer.refusal.code.toLowerCase() : answer.kind;
}

/** Where the filter names states, a job that has moved on since is left alone. Locks in id order. */
async function cancelBatch(
  run: RunSql,
  { table, followUps }: BringBackDeps,
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
  const finished = await followUps.finished(run, ended);
  return { finished, refused, cancels: answers.filter(({ kind }) => kind === "requested") };
}
