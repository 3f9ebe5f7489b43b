import type { FinishedJob, FollowUps } from "../follow-ups.ts";
import { gateOfReady } from "../gate.ts";
import type { SendableJob } from "../job.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import type { LockedFlow } from "./advance.ts";
import {
  chooseNodes,
  doomedAmong,
  type Refused,
  type Revived,
  refused,
  undoDiscarded,
  unfitAmong,
  withoutJob,
} from "./retriable.ts";
import { skipJobs } from "./stop.ts";
import { hasFailedParent, isHeld, readyJob } from "./unblock.ts";

export interface ReviveDeps {
  readonly table: TableName;
  readonly followUps: () => FollowUps;
}

export interface Reviving {
  readonly revived: Exclude<Revived, { readonly kind: "missing" }>;
  /** Skipped again: to be followed up after the commit. */
  readonly finished: readonly FinishedJob[];
}

const refuse = (revived: Refused): Reviving => ({ revived, finished: [] });

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
  if (!isOpen) return refuse(refused("FLOW_NOT_RETRIABLE", `the flow is ${flow.state}`));
  const unfit = nodes && (await unfitAmong(run, flow.id, nodes, table));
  if (unfit !== undefined) return refuse(unfit);
  const chosen = await chooseNodes(run, flow.id, nodes, table);
  if (chosen.length === 0) return refuse(refused("FLOW_NOT_RETRIABLE", "no node of the flow has failed"));
  const doomed = nodes && (await doomedAmong(run, chosen, nodes, table));
  const hindered = doomed ?? (await withoutJob(run, chosen, table));
  if (hindered !== undefined) return refuse(hindered);

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

/** Nodes first: an edge is closed as soon as its parent's node says so. What comes after them and is done stays so. */
async function reopen(run: RunSql, jobs: readonly string[], table: TableName): Promise<void> {
  await run(
    `update ${table("flow_nodes")}
     set state = 'open', reason = null, finished_at = null, done_seq = null, result = null, payload = null, payload_form = null
     where job_id = any ($1::uuid[])`,
    [jobs],
  );
  await refreshEdges(run, jobs, table);
}

/**
 * Edges say again what their parents' nodes say: of an edge whose child was not open, that may have changed unnoticed. Locks them in a
 * statement of its own, so that the next one sees the nodes of parents whose settlement it has waited for; in the order in which
 * settlements come to them. Index: flow_edges_parent, primary key (child_id).
 */
async function refreshEdges(run: RunSql, jobs: readonly string[], table: TableName): Promise<void> {
  const touched = "(e.parent_id = any ($1::uuid[]) or e.child_id = any ($1::uuid[]))";
  await run(
    `with locked as materialized (
       select from ${table("flow_edges")} e where ${touched} order by e.parent_id, e.ctid for update
     )
     select count(*) from locked`,
    [jobs],
  );
  await run(
    `update ${table("flow_edges")} e
     set blocking = p.state <> 'succeeded' and (p.state = 'open' or p.on_failure <> 'ignore'),
       failed = p.state not in ('open', 'succeeded')
     from ${table("flow_nodes")} p, ${table("flow_nodes")} c
     where ${touched} and p.job_id = e.parent_id and c.job_id = e.child_id and c.state = 'open'`,
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
  const discarded = await undoDiscarded(run, flowId, table);
  if (discarded !== undefined) return refuse(discarded);
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
