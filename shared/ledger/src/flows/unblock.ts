import { gateOfReady } from "../gate.ts";
import type { SendableJob } from "../job.ts";
import type { Row } from "../postgres/database.ts";
import { byIdOnly, type TableName } from "../postgres/sql.ts";

/**
 * Whether the edge `e` still holds its child back. The edge itself may be out of date: one that was added while its parent was being
 * settled is missed by that settlement. So the parent has the last word.
 */
const holds = (table: TableName): string => `e.blocking and not exists (
  select from ${table("flow_nodes")} parent
  where parent.job_id = e.parent_id
    and (parent.state = 'succeeded' or (parent.state <> 'open' and parent.on_failure = 'ignore'))
)`;

/** Whether something still holds the job `child` back. Index: flow_edges_blocking; the first entry answers. */
export const isHeld = (table: TableName, child: string): string => `exists (
  select from ${table("flow_edges")} e where e.child_id = ${child} and ${holds(table)}
)`;

/** Whether a job that the job `child` comes after has ended in a way that it cannot follow. Index: flow_edges_blocking. */
export const isBroken = (table: TableName, child: string): string => `exists (
  select from ${table("flow_edges")} e join ${table("flow_nodes")} parent on parent.job_id = e.parent_id
  where e.child_id = ${child} and e.blocking
    and parent.state not in ('open', 'succeeded') and parent.on_failure <> 'ignore'
)`;

/** Whether a job that `child` comes after has failed, ignored or not. Index: flow_edges_failed. */
export const hasFailedParent = (table: TableName, child: string): string =>
  `exists (select from ${table("flow_edges")} e where e.child_id = ${child} and e.failed)`;

/**
 * Jobs that wait for one of `changed`, a from-item `c` with `job_id`, and those themselves. Index: flow_edges_parent. Here and below,
 * `offset 0` and `for update` inside a lateral join keep every plan a lookup by key, also one that was made while the tables were empty.
 */
const touchedSql = (table: TableName, changed: string): string => `
  select e.id from ${changed} cross join lateral (
    select child_id as id from ${table("flow_edges")} where parent_id = c.job_id offset 0
  ) e
  union
  select c.job_id from ${changed}`;

/** Open nodes of running flows among `from`, in id order: `t.id`, `n.delay_ms`, `n.eager`. Index: primary keys. */
const waitingSql = (table: TableName, from: string): string => `(select id from ${from} s order by id) t
    cross join lateral (
      select delay_ms, eager, flow_id from ${table("flow_nodes")}
      where job_id = t.id and ${byIdOnly("state")} = 'open' offset 0
    ) n
    cross join lateral (
      select from ${table("flows")} where id = n.flow_id and ${byIdOnly("state")} = 'running' offset 0
    ) f`;

/**
 * CTEs `touched`, `free` and `unblocked`: blocked jobs that nothing holds back any more become ready, or scheduled when their own delay
 * starts now. Locks those jobs in id order, and only those; another that does the same waits and finds them unblocked. A job whose
 * flow is being stopped is found by the stop, whichever comes first. `grace` is an SQL expression: for how many milliseconds the
 * dispatcher leaves the announcing to this process.
 */
export const unblockCtes = (table: TableName, { changed, grace }: { changed: string; grace: string }): string => `
  touched as materialized (${touchedSql(table, changed)}),
  free as materialized (
    select j.id, greatest(j.run_at, statement_timestamp())
      + case when j.attempt = 0 then coalesce(n.delay_ms, 0) else 0 end * interval '1 millisecond' as run_at
    from ${waitingSql(table, "touched")}
    cross join lateral (
      select * from ${table("jobs")} j
      where j.id = t.id and ${byIdOnly("j.state")} = 'blocked'
        and (not ${isHeld(table, "j.id")} or (n.eager and ${hasFailedParent(table, "j.id")}))
      for update
    ) j
  ),
  unblocked as (
    update ${table("jobs")} j
    set state = case when f.run_at > statement_timestamp() then 'scheduled' else 'ready' end,
      run_at = f.run_at, sent_at = null, gate = ${gateOfReady(table, "j.queue", "j.gate")},
      send_after = statement_timestamp()
        + case when j.attempt = 0 then ${grace} else 0 end * interval '1 millisecond'
    from free f
    where j.id = any (array[f.id])
    returning j.id, j.queue, j.name, j.attempt, j.state, j.gate
  )`;

/** Blocked jobs that can never start: what they come after has failed, and they wait for it. For a CTE. */
export const skippableSql = (table: TableName, changed: string): string => `
  select j.* from ${waitingSql(table, `(${touchedSql(table, changed)})`)}
  cross join lateral (
    select * from ${table("jobs")} j
    where j.id = t.id and ${byIdOnly("j.state")} = 'blocked'
      and ${isBroken(table, "j.id")} and not (n.eager and ${hasFailedParent(table, "j.id")})
    for update
  ) j`;

/** A row of `unblocked` that somebody should publish, or undefined. */
export function readyJob(row: Row): SendableJob | undefined {
  if (row["state"] !== "ready" || row["gate"] !== 0) return undefined;
  return {
    id: String(row["id"]),
    queue: String(row["queue"]),
    name: String(row["name"]),
    attempt: Number(row["attempt"]),
  };
}
