import type { SendableJob } from "../job.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { stopReasons } from "./flow.ts";

export type Revived =
  | { readonly kind: "retried"; readonly nodes: readonly string[]; readonly ready: readonly SendableJob[] }
  | Refused
  | { readonly kind: "missing" };

/** Nothing was changed. */
export interface Refused {
  readonly kind: "refused";
  readonly code: ReviveRefusal;
  readonly detail: string;
  /** Named nodes that would only be skipped again (`FLOW_PARENT_FAILED`); the others may be retried without them. */
  readonly nodes: readonly string[];
}

export type ReviveRefusal =
  | "FLOW_NOT_RETRIABLE"
  | "FLOW_NODE_UNKNOWN"
  | "FLOW_PARENT_FAILED"
  | "FLOW_NODE_DISCARDED"
  | "FLOW_HISTORY_GONE";

export const refused = (code: ReviveRefusal, detail: string, nodes: readonly string[] = []): Refused => ({
  kind: "refused",
  code,
  detail,
  nodes,
});

/** Nodes named that do not exist, or have nothing to retry. */
export async function unfitAmong(
  run: RunSql,
  flowId: string,
  names: readonly string[],
  table: TableName,
): Promise<Refused | undefined> {
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
 * Named nodes that could not start, since something that they wait for has failed and is not chosen, or is doomed itself.
 * Index: flow_nodes, flow_edges (child_id), flow_edges_parent.
 */
export async function doomedAmong(
  run: RunSql,
  chosen: readonly string[],
  names: readonly string[],
  table: TableName,
): Promise<Refused | undefined> {
  const { rows } = await run(
    `with recursive doomed as (
       select n.job_id, n.name, n.on_failure, p.name as parent
       from ${table("flow_nodes")} n
       join ${table("flow_edges")} e on e.child_id = n.job_id
       join ${table("flow_nodes")} p on p.job_id = e.parent_id
       where n.job_id = any ($1::uuid[]) and not n.eager
         and p.state not in ('open', 'succeeded') and p.on_failure <> 'ignore' and p.job_id <> all ($1::uuid[])
       union
       select n.job_id, n.name, n.on_failure, d.name
       from doomed d
       join ${table("flow_edges")} e on e.parent_id = d.job_id
       join ${table("flow_nodes")} n on n.job_id = e.child_id
       where d.on_failure <> 'ignore' and n.job_id = any ($1::uuid[]) and not n.eager
     )
     select distinct on (name) name, parent from doomed where name = any ($2) order by name`,
    [chosen, names],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const detail = `the node "${String(row["name"])}" waits for "${String(row["parent"])}", which has failed: retry that as well`;
  return refused(
    "FLOW_PARENT_FAILED",
    detail,
    rows.map(({ name }) => String(name)),
  );
}

/**
 * A node whose job cannot come back, if there is one: it is past retention, or was put aside. Locks the history rows in id order, so that
 * neither happens before they are back. Index: primary keys.
 */
export async function withoutJob(run: RunSql, jobs: readonly string[], table: TableName): Promise<Refused | undefined> {
  const { rows } = await run(
    `select id, discarded_at is null as is_kept from ${table("jobs_history")} where id = any ($1::uuid[]) order by id for update`,
    [jobs],
  );
  const isKept = new Map(rows.map((row) => [String(row["id"]), row["is_kept"] === true]));
  const hindered = jobs.find((id) => isKept.get(id) !== true);
  if (hindered === undefined) return undefined;
  const nodes = await run(`select name from ${table("flow_nodes")} where job_id = $1`, [hindered]);
  const job = `the job of the node "${String(nodes.rows[0]?.["name"])}"`;
  return isKept.has(hindered)
    ? refused("FLOW_NODE_DISCARDED", `${job} was discarded`)
    : refused("FLOW_HISTORY_GONE", `${job} is past retention`);
}

/**
 * Named nodes, what comes after them and was skipped, and what their failure has cancelled. Index: flow_nodes_name (flow_id),
 * flow_edges_parent.
 */
export async function chooseNodes(
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

/** Of a failed compensation: whether its job was put aside. Locks the job's history row. Index: flow_undos_order (flow_id), primary keys. */
export async function undoDiscarded(run: RunSql, flowId: string, table: TableName): Promise<Refused | undefined> {
  const { rows } = await run(
    `select n.name, h.discarded_at from ${table("flow_undos")} u
     join ${table("jobs_history")} h on h.id = u.job_id
     join ${table("flow_nodes")} n on n.job_id = u.node_id
     where u.flow_id = $1 and u.state = 'failed' for update of h`,
    [flowId],
  );
  const discarded = rows.find((row) => row["discarded_at"] !== null);
  if (discarded === undefined) return undefined;
  return refused("FLOW_NODE_DISCARDED", `the job that undoes the node "${String(discarded["name"])}" was discarded`);
}
