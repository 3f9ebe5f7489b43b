import { insertJobs, jobInput, jobRowJson } from "../enqueue/job-insert.ts";
import type { SendableJob } from "../job.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { type FlowCause, type FlowState, type JobTemplate } from "./flow.ts";
import { readyJob } from "./unblock.ts";

export interface FinishDeps {
  readonly table: TableName;
  readonly newId: () => string;
}

export interface Finished {
  readonly state: FlowState;
  readonly ready: readonly SendableJob[];
}

/**
 * Ends a flow that has no open job, or begins to undo it, or goes on with that. The caller holds the flow's row, or has just made it.
 */
export async function finishFlow(run: RunSql, flowId: string, deps: FinishDeps): Promise<Finished> {
  const { table } = deps;
  const { rows } = await run(`select state, cause from ${table("flows")} where id = $1`, [flowId]);
  const state = rows[0]?.["state"] as FlowState | undefined;
  if (state === "running") {
    const failed = await failureOf(run, flowId, table);
    if (failed === undefined) return end(run, flowId, "succeeded", deps);
    await run(
      `update ${table("flows")} set cause = 'failed', reason = $2, failed_node = $3, stopped_at = clock_timestamp() where id = $1`,
      [flowId, failed.reason, failed.name],
    );
    return compensate(run, flowId, "failed", deps);
  }
  if (state === "stopping") return compensate(run, flowId, rows[0]?.["cause"] as FlowCause, deps);
  if (state === "compensating") return undoNext(run, flowId, deps);
  throw new RangeError(`flow ${flowId} is ${state ?? "missing"} and cannot be finished`);
}

/** The first failure that is not ignored. Reads the nodes of the flow once, at its end. Index: flow_nodes_name (flow_id). */
async function failureOf(run: RunSql, flowId: string, table: TableName) {
  const { rows } = await run(
    `select name, reason from ${table("flow_nodes")}
     where flow_id = $1 and state in ('failed', 'cancelled', 'skipped') and on_failure <> 'ignore'
     order by done_seq limit 1`,
    [flowId],
  );
  const [row] = rows;
  return row === undefined ? undefined : { name: String(row["name"]), reason: String(row["reason"]) };
}

/** Lays down what is to be undone, the latest completion first, and starts with it; or ends the flow when there is nothing. */
async function compensate(run: RunSql, flowId: string, cause: FlowCause, deps: FinishDeps): Promise<Finished> {
  const { table } = deps;
  const laid = await run(
    `insert into ${table("flow_undos")} (node_id, flow_id, position)
     select job_id, flow_id, row_number() over (order by done_seq desc) from ${table("flow_nodes")}
     where flow_id = $1 and state = 'succeeded' and compensation is not null
     returning 1`,
    [flowId],
  );
  if (laid.rows.length === 0) return end(run, flowId, cause, deps);
  await run(`update ${table("flows")} set state = 'compensating' where id = $1`, [flowId]);
  return undoNext(run, flowId, deps);
}

/** One at a time: the next begins when the one before has succeeded. Index: flow_undos_order. */
async function undoNext(run: RunSql, flowId: string, deps: FinishDeps): Promise<Finished> {
  const { table, newId } = deps;
  const { rows } = await run(
    `select u.node_id, u.state, u.reason, n.name from ${table("flow_undos")} u
     join ${table("flow_nodes")} n on n.job_id = u.node_id
     where u.flow_id = $1 and u.state <> 'done' order by u.position limit 1`,
    [flowId],
  );
  const [next] = rows;
  if (next === undefined) return end(run, flowId, "compensated", deps);
  if (next["state"] === "failed") return end(run, flowId, "compensation_failed", deps);
  if (next["state"] === "started") return { state: "compensating", ready: [] };

  const jobId = newId();
  const made = await run(
    `with next as (
       update ${table("flow_undos")} set state = 'started', job_id = $2 where node_id = $1 returning node_id
     )
     select n.compensation, case
         when n.payload_form like 'a256gcm%' or n.result #>> '{$warren,form}' like 'a256gcm%' then 'a256gcm+undo'
         when n.payload_form is not null or n.result -> '$warren' is not null then 'object+undo'
       end as form, (jsonb_strip_nulls(jsonb_build_object(
         'step', case when n.payload_form is not null or n.result -> '$warren' is not null
           then jsonb_build_object('id', n.job_id, 'name', n.definition, 'form', n.payload_form) end
       )) || jsonb_build_object(
         'payload', n.payload,
         'result', n.result,
         'flow', jsonb_build_object(
           'id', f.id, 'name', f.name, 'key', f.flow_key, 'node', n.name, 'jobId', n.job_id, 'cause', f.cause,
           'reason', f.reason, 'failedNode', f.failed_node
         )
       ))::text as payload
     from next join ${table("flow_nodes")} n on n.job_id = next.node_id join ${table("flows")} f on f.id = n.flow_id`,
    [next["node_id"], jobId],
  );
  const [row] = made.rows;
  if (row === undefined) throw new RangeError(`nothing to undo for node ${String(next["node_id"])}`);
  const template = row["compensation"] as JobTemplate;
  const form = (row["form"] as string | null) ?? undefined;
  const ready = await insertOne(run, { id: jobId, template, payload: String(row["payload"]), form, flowId }, table);
  return { state: "compensating", ready };
}

async function end(run: RunSql, flowId: string, state: FlowState, deps: FinishDeps): Promise<Finished> {
  const { table, newId } = deps;
  const { rows } = await run(
    `update ${table("flows")} set state = $2, finished_at = clock_timestamp() where id = $1
     returning on_finished, jsonb_build_object(
       'flowId', id, 'name', name, 'key', flow_key, 'state', state, 'cause', cause, 'reason', reason, 'failedNode', failed_node
     )::text as payload`,
    [flowId, state],
  );
  const [row] = rows;
  const template = row?.["on_finished"] as JobTemplate | null | undefined;
  if (row === undefined || template === null || template === undefined) return { state, ready: [] };
  const payload = String(row["payload"]);
  return {
    state,
    ready: await insertOne(run, { id: newId(), template, payload, form: undefined, flowId: undefined }, table),
  };
}

interface OneJob {
  readonly id: string;
  readonly template: JobTemplate;
  readonly payload: string;
  /** Of a payload that holds sealed data of the step to be undone. */
  readonly form: string | undefined;
  /** Of a job whose end its flow follows up. */
  readonly flowId: string | undefined;
}

async function insertOne(
  run: RunSql,
  { id, template, payload, form, flowId }: OneJob,
  table: TableName,
): Promise<readonly SendableJob[]> {
  const linked = flowId === undefined ? {} : { flowId, linked: true };
  const sealed = form === undefined ? {} : { payloadForm: form };
  const job = { ...template, ...linked, ...sealed, payload: undefined };
  const { rows } = await run(
    `${insertJobs(table, { rare: true })} from ${jobInput(1)} returning id, queue, name, attempt, state, gate`,
    [`[${jobRowJson({ job, id, payload })}]`],
  );
  return rows.map(readyJob).filter((ready) => ready !== undefined);
}
