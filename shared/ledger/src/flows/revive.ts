import type { FinishedJob, FollowUps } from "../follow-ups.ts";
import { gateOfReady } from "../gate.ts";
import type { SendableJob } from "../job.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import type { LockedFlow } from "./advance.ts";
import { stopReasons } from "./flow.ts";
import { skipJobs } from "./stop.ts";
import { hasFailedParent, isHeld, readyJob } from "./unblock.ts";

export type Revived =
  | { readonly kind: "retried"; readonly nodes: readonly string[]; readonly ready: readonly SendableJob[] }
  /** `FLOW_NOT_RETRIABLE`, `FLOW_NODE_UNKNOWN`, `FLOW_HISTORY_GONE`. */
  | { readonly kind: "refused"; readonly code: ReviveRefusal; readonly detail: string }
  | { readonly kind: "missing" };

export type ReviveRefusal = "FLOW_NOT_RETRIABLE" | "FLOW_NODE_UNKNOWN" | "FLOW_HISTORY_GONE";

export interface ReviveDeps {
  readonly table: TableName;
  readonly followUps: () => FollowUps;
}

export interface Reviving {
  readonly revived: Revived;
  readonly finished: readonly FinishedJob[];
}

const refused = (code: ReviveRefusal, detail: string): Reviving => ({
  revived: { kind: "refused", code, detail },
  finished: [],
});

/**
 * Opens failed nodes of a flow again, with what was cancelled or skipped because of them; nodes that have succeeded stay as they are.
 * `nodes` undefined: all that failed and is not ignored. Their jobs come back from history under their ids, with all their attempts
 * anew; stalls stay counted. The caller holds the flow's row.
 */
export async function reviveIn(
  run: RunSql,
  flow: LockedFlow,
  nodes: readonly string[] | undefined,
  { table, followUps }: ReviveDeps,
): Promise<Reviving> {
  if (flow.state === "compensation_failed" && nodes === undefined) return retryUndo(run, flow.id, table);
  const isOpen =
    flow.state === "failed" || flow.state === "cancelled" || (flow.state === "running" && nodes !== undefined);
  if (!isOpen) return refused("FLOW_NOT_RETRIABLE", `the flow is ${flow.state}`);
  if (nodes !== undefined) {
    const unknown = await unfitAmong(run, flow.id, nodes, table);
    if (unknown !== undefined) return unknown;
  }
  const chosen = await chooseNodes(run, flow.id, nodes, table);
  if (chosen.length === 0) return refused("FLOW_NOT_RETRIABLE", "no node of the flow has failed");
  const gone = await run(
    `select n.name from ${table("flow_nodes")} n
     where n.job_id = any ($1::uuid[]) and not exists (select from ${table("jobs_history")} h where h.id = n.job_id) limit 1`,
    [chosen],
  );
  if (gone.rows[0] !== undefined) {
    return refused("FLOW_HISTORY_GONE", `the job of the node "${String(gone.rows[0]["name"])}" is past retention`);
  }

  await reopen(run, chosen, table);
  const names = await run(`select name from ${table("flow_nodes")} where job_id = any ($1::uuid[]) order by position`, [
    chosen,
  ]);
  const ready = await bringBack(run, chosen, stateSql(table), table);
  await run(
    `update ${table("flows")}
     set state = 'running', runs = runs + 1, cause = null, reason = null, failed_node = null, stopped_by = null,
       stopped_at = null, finished_at = null
     where id = $1`,
    [flow.id],
  );
  // what still comes after a failure that was not chosen can never start
  const finished: FinishedJob[] = [];
  for (let skipped = await skipJobs(run, chosen, table); skipped.length > 0; ) {
    finished.push(...(await followUps().finished(run, skipped)));
    skipped = await skipJobs(
      run,
      skipped.map((row) => String(row["id"])),
      table,
    );
  }
  return { revived: { kind: "retried", nodes: names.rows.map((row) => String(row["name"])), ready }, finished };
}

/** Nodes named that do not exist, or have nothing to retry. */
async function unfitAmong(run: RunSql, flowId: string, names: readonly string[], table: TableName) {
  const { rows } = await run(
    `select w.name, n.state from unnest($2::text[]) as w(name)
     left join ${table("flow_nodes")} n on n.flow_id = $1 and n.name = w.name
     where n.state is null or n.state in ('open', 'succeeded') limit 1`,
    [flowId, names],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const name = String(row["name"]);
  if (row["state"] === null) return refused("FLOW_NODE_UNKNOWN", `the flow has no node "${name}"`);
  return refused("FLOW_NOT_RETRIABLE", `the node "${name}" is ${row["state"] === "open" ? "not finished" : "done"}`);
}

/**
 * Named nodes, what comes after them and was skipped, and what their failure has cancelled. Index: flow_nodes_name (flow_id),
 * flow_edges_parent.
 */
async function chooseNodes(
  run: RunSql,
  flowId: string,
  names: readonly string[] | undefined,
  table: TableName,
): Promise<readonly string[]> {
  const { rows } = await run(
    `with recursive chosen as (
       select job_id from ${table("flow_nodes")}
       where flow_id = $1 and state in ('failed', 'cancelled', 'skipped') and (
         reason in ('${stopReasons.failed}', '${stopReasons.cancelled}')
         or case when $2::text[] is null then on_failure <> 'ignore' else name = any ($2) end
       )
       union
       select n.job_id from chosen c
       join ${table("flow_edges")} e on e.parent_id = c.job_id
       join ${table("flow_nodes")} n on n.job_id = e.child_id
       where n.state = 'skipped'
     )
     select job_id from chosen order by job_id`,
    [flowId, names ?? null],
  );
  return rows.map((row) => String(row["job_id"]));
}

/** Nodes first: an edge is closed as soon as its parent's node says so. What comes after them and is done stays so. */
async function reopen(run: RunSql, jobs: readonly string[], table: TableName): Promise<void> {
  await run(
    `update ${table("flow_nodes")}
     set state = 'open', reason = null, finished_at = null, done_seq = null, result = null, payload = null, payload_form = null
     where job_id = any ($1::uuid[])`,
    [jobs],
  );
  for (const side of ["parent_id", "child_id"]) await refreshEdges(run, jobs, side, table);
}

/** Edges say again what their parents' nodes say: of an edge whose child was not open, that may have changed unnoticed. */
async function refreshEdges(run: RunSql, jobs: readonly string[], side: string, table: TableName): Promise<void> {
  await run(
    `update ${table("flow_edges")} e
     set blocking = p.state <> 'succeeded' and (p.state = 'open' or p.on_failure <> 'ignore'),
       failed = p.state not in ('open', 'succeeded')
     from ${table("flow_nodes")} p, ${table("flow_nodes")} c
     where e.${side} = any ($1::uuid[]) and p.job_id = e.parent_id and c.job_id = e.child_id and c.state = 'open'`,
    [jobs],
  );
}

/**
 * Moves jobs back from history. Their attempts go on counting, since the attempt is the fence, but none counts against the limit any
 * more. Index: primary keys.
 */
async function bringBack(
  run: RunSql,
  jobs: readonly string[],
  state: string,
  table: TableName,
): Promise<readonly SendableJob[]> {
  const kept = `id, created_at, claimed_at, attempt, max_attempts, stalls, max_stalls, version, priority, queue, name,
    correlation_id, trace, job_key, payload, errors, linked, flow_id, limit_key, unique_key, schedule, payload_form, attributes`;
  const { rows } = await run(
    `with back as materialized (
       delete from ${table("jobs_history")} where id = any ($1::uuid[]) returning *
     )
     insert into ${table("jobs")} (${kept}, excused, settled, run_at, send_after, state, gate, breakers)
     select ${kept}, attempt, attempt, statement_timestamp(), statement_timestamp(), ${state},
       ${gateOfReady(table, "queue")},
       coalesce(
         (select n.breakers from ${table("flow_nodes")} n where n.job_id = back.id),
         (select array(select jsonb_array_elements_text(n.compensation -> 'breakers'))
          from ${table("flow_undos")} u join ${table("flow_nodes")} n on n.job_id = u.node_id where u.job_id = back.id)
       )
     from back
     returning id, queue, name, attempt, state, gate`,
    [jobs],
  );
  return rows.map(readyJob).filter((job) => job !== undefined);
}

/** Where a job that comes back stands. */
const stateSql = (table: TableName): string => `case
    when ${isHeld(table, "back.id")} and not (
      (select n.eager from ${table("flow_nodes")} n where n.job_id = back.id) and ${hasFailedParent(table, "back.id")}
    ) then 'blocked' else 'ready' end`;

/** The compensation that failed runs again; what it held up follows. */
async function retryUndo(run: RunSql, flowId: string, table: TableName): Promise<Reviving> {
  const { rows } = await run(
    `update ${table("flow_undos")} u set state = 'started', reason = null
     from ${table("flow_nodes")} n
     where u.flow_id = $1 and u.state = 'failed' and n.job_id = u.node_id
     returning u.job_id, n.name`,
    [flowId],
  );
  const jobs = rows.map((row) => String(row["job_id"]));
  const ready = await bringBack(run, jobs, "'ready'", table);
  if (ready.length < jobs.length) {
    // past retention: it is made anew
    await run(
      `update ${table("flow_undos")} u set state = 'waiting', job_id = null
       where u.flow_id = $1 and u.state = 'started' and not exists (select from ${table("jobs")} j where j.id = u.job_id)`,
      [flowId],
    );
    await run(`insert into ${table("flow_signals")} (flow_id, job_id) select $1, unnest($2::uuid[])`, [flowId, jobs]);
  }
  await run(`update ${table("flows")} set state = 'compensating', runs = runs + 1, finished_at = null where id = $1`, [
    flowId,
  ]);
  return { revived: { kind: "retried", nodes: rows.map((row) => String(row["name"])), ready }, finished: [] };
}
