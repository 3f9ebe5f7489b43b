import type { FinishedJob } from "../follow-ups.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { skippedReason } from "./flow.ts";

/**
 * Writes down what the end of jobs means for their flows: their nodes, the edges to what comes after them, and a signal that somebody
 * has to follow up. Touches only rows of these very jobs, so settlements of siblings never meet. Index: primary keys,
 * flow_edges_parent; a comparison with an array of one can be neither merged nor hashed, which keeps every plan a lookup by key.
 */
export async function recordFinished(run: RunSql, jobs: readonly FinishedJob[], table: TableName): Promise<void> {
  const own = jobs.filter(({ flowId }) => flowId !== undefined);
  if (own.length === 0) return;
  await run(recordSql(table), [JSON.stringify(own.map(({ id, state, reason }) => ({ id, state, reason })))]);
}

const recordSql = (table: TableName): string => `with ended as materialized (
    select i.id, i.reason, case
      when i.state = 'succeeded' then 'succeeded'
      when i.state = 'dead' then 'failed'
      when i.reason = '${skippedReason}' then 'skipped'
      else 'cancelled' end as state
    from json_to_recordset($1::text::json) as i(id uuid, state text, reason text)
    order by i.id
  ),
  nodes as (
    update ${table("flow_nodes")} n
    set state = e.state, reason = e.reason, finished_at = h.finished_at, done_seq = nextval('${table("flow_completions")}'),
      result = h.result,
      payload = case when e.state = 'succeeded' and n.compensation is not null then h.payload end,
      payload_form = case when e.state = 'succeeded' and n.compensation is not null then h.payload_form end
    from ended e cross join lateral (
      select finished_at, result, payload, payload_form from ${table("jobs_history")} where id = e.id offset 0
    ) h
    where n.job_id = any (array[e.id])
    returning n.job_id, n.flow_id, n.on_failure, n.state
  ),
  undos as (
    update ${table("flow_undos")} u
    set state = case e.state when 'succeeded' then 'done' else 'failed' end, reason = e.reason
    from ended e
    where u.job_id = any (array[e.id])
    returning u.job_id, u.flow_id
  ),
  edges as (
    update ${table("flow_edges")} e
    set blocking = n.state <> 'succeeded' and n.on_failure <> 'ignore', failed = n.state <> 'succeeded'
    from nodes n
    where e.parent_id = any (array[n.job_id])
  )
  insert into ${table("flow_signals")} (flow_id, job_id)
  select flow_id, job_id from nodes
  union all
  select flow_id, job_id from undos`;
