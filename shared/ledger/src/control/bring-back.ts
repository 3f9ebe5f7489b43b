import { LedgerConflictError } from "../errors.ts";
import { type FlowRefusal, lockFlowsOf, reviveJobsIn } from "../flows/revive-jobs.ts";
import type { FinishedJob, FollowUps } from "../follow-ups.ts";
import { gateOfReady } from "../gate.ts";
import type { FinishedState, UnfinishedState } from "../job.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";

export interface RetryOrder {
  /** How many attempts count from now on. Default: as many as it had from the beginning. */
  readonly attempts?: number;
  /** Replaces the payload. JSON text in the form named; the version that it was checked with. */
  readonly payload?: {
    readonly json: string;
    readonly form: string | null;
    readonly version: number;
    readonly attributes: Readonly<Record<string, string | number | boolean>> | null;
  };
}

/** What became of a wish to bring a finished job back. */
export type RetryAnswer =
  /** Back under the same id: ready, and a dispatcher publishes it; or, in a flow, blocked by what comes back with it. */
  | { readonly id: string; readonly kind: "retried" }
  /** It waits or runs: there is nothing to retry. */
  | { readonly id: string; readonly kind: "unfinished"; readonly state: UnfinishedState }
  | { readonly id: string; readonly kind: "succeeded" }
  | { readonly id: string; readonly kind: "discarded" }
  /** It belongs to a flow that cannot take it back. */
  | { readonly id: string; readonly kind: "flow_refused"; readonly flowId: string; readonly refusal: FlowRefusal }
  /** Another job holds its unique key. */
  | { readonly id: string; readonly kind: "key_taken"; readonly holder: string }
  /** Unknown, or its history is past retention. */
  | { readonly id: string; readonly kind: "missing" };

const ids = `any (array(select value::uuid from json_array_elements_text($1::text::json) value))`;

/** Of an operation that only takes jobs in states that were asked for: it is in another one by now. */
export interface StateChanged {
  readonly id: string;
  readonly kind: "state_changed";
}

export interface BroughtBack<Answer = RetryAnswer> {
  /** In the order of the ids. */
  readonly answers: readonly Answer[];
  /** Jobs of flows that were skipped again: to be followed up after the commit. */
  readonly finished: readonly FinishedJob[];
}

export interface BringBackDeps {
  readonly table: TableName;
  readonly followUps: FollowUps;
}

/**
 * Moves dead and cancelled jobs back from history, under their ids and with their errors, in the transaction of `run` (read committed). Their
 * attempts go on counting, since the attempt is the fence, but those before count against no limit; stalls stay counted. Jobs of flows
 * come back with what was cancelled or skipped because of them. `states`: takes only jobs that are in one of these.
 * Locks flows in id order, then the history rows in id order, then unique keys in key order, then what the retry of each flow locks: a
 * settlement, too, comes to unique keys before nodes and edges.
 * Index: primary keys, unique_keys (name, key).
 */
export async function bringBack(
  run: RunSql,
  deps: BringBackDeps,
  wanted: readonly string[],
  order: RetryOrder,
): Promise<BroughtBack>;
export async function bringBack(
  run: RunSql,
  deps: BringBackDeps,
  wanted: readonly string[],
  order: RetryOrder,
  states: readonly FinishedState[],
): Promise<BroughtBack<RetryAnswer | StateChanged>>;
export async function bringBack(
  run: RunSql,
  { table, followUps }: BringBackDeps,
  wanted: readonly string[],
  order: RetryOrder,
  states?: readonly FinishedState[],
): Promise<BroughtBack<RetryAnswer | StateChanged>> {
  const answers = new Map<string, RetryAnswer | StateChanged>();
  const asked = [...new Set(wanted.map((id) => id.toLowerCase()))];
  const places = await lockFlowsOf(run, asked, table);
  const { rows } = await run(
    `select id, state, name, discarded_at is not null as is_discarded, flow_id, unique_key
     from ${table("jobs_history")} where id = ${ids} order by id for update`,
    [JSON.stringify(asked)],
  );
  const free: string[] = [];
  const keyed: { id: string; name: string; key: string }[] = [];
  const flowOf = new Map<string, string>();
  for (const row of rows) {
    const id = String(row["id"]);
    const { flow_id: flowId, unique_key: key } = row;
    const state = row["state"] as FinishedState;
    if (state === "succeeded") answers.set(id, { id, kind: "succeeded" });
    else if (row["is_discarded"] === true) answers.set(id, { id, kind: "discarded" });
    else if (states?.includes(state) === false) answers.set(id, { id, kind: "state_changed" });
    else if (typeof flowId === "string") flowOf.set(id, flowId);
    else if (typeof key === "string") keyed.push({ id, name: String(row["name"]), key });
    else free.push(id);
  }
  for (const id of await takeKeys(run, table, keyed, answers)) free.push(id);
  if (free.length > 0) {
    const moved = await run(moveSql(table), [JSON.stringify(free), ...orderValues(order)]);
    for (const row of moved.rows) {
      const id = String(row["id"]);
      answers.set(id, { id, kind: "retried" });
    }
    // retention moves rows to another partition: a row that moved since it was locked is not where the delete looks
    if (moved.rows.length < free.length) throw new LedgerConflictError("a job left history while it was brought back");
  }

  const { refusals, finished } = await reviveJobsIn(run, new Set(flowOf.keys()), places, {
    table,
    followUps: () => followUps,
  });
  for (const [id, flowId] of flowOf) {
    const refusal = refusals.get(id);
    answers.set(id, refusal ? { id, kind: "flow_refused", flowId, refusal } : { id, kind: "retried" });
  }
  const revived = [...flowOf.keys()].filter((id) => !refusals.has(id));
  const isChanged = order.attempts !== undefined || order.payload !== undefined;
  if (isChanged && revived.length > 0) await run(editSql(table), [JSON.stringify(revived), ...orderValues(order)]);

  const rest = asked.filter((id) => !answers.has(id));
  if (rest.length > 0) {
    const living = await run(`select id, state from ${table("jobs")} where id = ${ids}`, [JSON.stringify(rest)]);
    for (const row of living.rows) {
      const id = String(row["id"]);
      answers.set(id, { id, kind: "unfinished", state: row["state"] as UnfinishedState });
    }
  }
  return { answers: wanted.map((id) => answers.get(id.toLowerCase()) ?? { id, kind: "missing" }), finished };
}

/** For `editedColumns`. */
const orderValues = ({ attempts, payload }: RetryOrder): readonly unknown[] => [
  attempts ?? null,
  payload?.json ?? null,
  payload?.form ?? null,
  payload?.version ?? null,
  payload === undefined || payload.attributes === null ? null : JSON.stringify(payload.attributes),
];

/** Takes unique keys for jobs that come back; answers which got theirs. Of two that share a key, the first in id order does. */
async function takeKeys(
  run: RunSql,
  table: TableName,
  keyed: readonly { readonly id: string; readonly name: string; readonly key: string }[],
  answers: Map<string, RetryAnswer | StateChanged>,
): Promise<readonly string[]> {
  if (keyed.length === 0) return [];
  const won = new Set<string>();
  const first = new Map(keyed.toReversed().map((job) => [JSON.stringify([job.name, job.key]), job]));
  const input = JSON.stringify([...first.values()]);
  const { rows } = await run(takeKeysSql(table), [input]);
  for (const row of rows) won.add(String(row["job_id"]));
  const lost = keyed.filter(({ id }) => !won.has(id));
  if (lost.length > 0) {
    const holders = await run(
      `select i.id, k.job_id from json_to_recordset($1::text::json) as i(id uuid, name text, key text)
       join ${table("unique_keys")} k on k.name = i.name and k.key = i.key`,
      [JSON.stringify(lost)],
    );
    const holderOf = new Map(holders.rows.map((row) => [String(row["id"]), String(row["job_id"])]));
    for (const { id } of lost) answers.set(id, { id, kind: "key_taken", holder: holderOf.get(id) ?? id });
  }
  return [...won];
}

// A key whose time is over, whose job has finished, or has started where it holds until then, holds nothing any more.
function takeKeysSql(table: TableName): string {
  return `insert into ${table("unique_keys")} as k (name, key, job_id, until)
    select name, key, id, 'finished' from (
      select * from json_to_recordset($1::text::json) as i(id uuid, name text, key text) order by name, key
    ) i
    on conflict (name, key) do update
    set job_id = excluded.job_id, until = 'finished', expires_at = null, successor = null, created_at = clock_timestamp()
    where k.job_id = excluded.job_id
      or k.expires_at <= clock_timestamp()
      or (k.expires_at is null and k.successor is null and not exists (
        select from ${table("jobs")} j
        where j.id = k.job_id and (k.until = 'finished' or j.claimed_at is null)
      ))
    returning job_id`;
}

const edited = `coalesce($2::integer, max_attempts), coalesce($5::integer, version), coalesce($3::text::jsonb, payload),
      case when $3::text is null then payload_form else $4::text end,
      case when $3::text is null then attributes else $6::text::jsonb end`;
const editedColumns = "max_attempts, version, payload, payload_form, attributes";

/** Of jobs that their flows have brought back in this transaction: nobody has claimed them. Index: jobs (id). */
const editSql = (table: TableName): string =>
  `update ${table("jobs")} set (${editedColumns}) = row(${edited}) where id = ${ids}`;

function moveSql(table: TableName): string {
  const kept = `id, created_at, claimed_at, attempt, stalls, max_stalls, priority, queue, name, correlation_id, trace, job_key, errors,
    linked, flow_id, limit_key, unique_key, schedule`;
  return `with back as materialized (
      delete from ${table("jobs_history")} where id = ${ids} returning *
    ),
    forgotten as (
      delete from ${table("result_expiries")} where job_id = ${ids}
    )
    insert into ${table("jobs")} (${kept}, ${editedColumns}, breakers, excused, settled, run_at, send_after, state, gate)
    select ${kept}, ${edited},
      coalesce(breakers, '{}'), attempt, attempt, statement_timestamp(), statement_timestamp(), 'ready', ${gateOfReady(table, "queue")}
    from back
    returning id`;
}
