import type { Database, Row } from "../postgres/database.ts";
import type { TableName } from "../postgres/sql.ts";
import type {
  FailurePolicy,
  FlowCause,
  FlowNode,
  FlowRecord,
  FlowState,
  NodeOutcome,
  NodeState,
  UndoState,
} from "./flow.ts";

export interface FlowFilter {
  readonly state?: FlowState;
  readonly name?: string;
  /** Only flows older than this one: the last id of the page before. */
  readonly before?: string;
  readonly limit: number;
}

export interface FlowQueries {
  find(id: string): Promise<FlowRecord | undefined>;
  findByKey(name: string, key: string): Promise<FlowRecord | undefined>;
  list(filter: FlowFilter): Promise<readonly FlowRecord[]>;
  tree(id: string): Promise<readonly FlowNode[]>;
  /** The name of a job's node. */
  nodeOf(jobId: string): Promise<string | undefined>;
  outcomes(flowId: string, of: OutcomesOf): Promise<readonly NodeOutcome[]>;
}

/** Whose outcomes: a node by name, the nodes that a job comes after, or those that it has added. */
export type OutcomesOf = { readonly node: string } | { readonly parentsOf: string } | { readonly childrenOf: string };

const flowColumns = `id, name, flow_key, state, cause, reason, failed_node, stopped_by, runs, correlation_id, created_at, finished_at`;

export function createFlowQueries(database: Database, table: TableName): FlowQueries {
  const flows = table("flows");
  const nodes = table("flow_nodes");
  const edges = table("flow_edges");
  // Index: primary key, flows_key.
  const find = { name: "warren_flow_find", text: `select ${flowColumns} from ${flows} where id = $1` };
  const findByKey = {
    name: "warren_flow_find_key",
    text: `select ${flowColumns} from ${flows} where name = $1 and flow_key = $2`,
  };
  // Newest first by the time in the id. Index: primary key, backwards.
  const list = `select ${flowColumns} from ${flows}
    where ($1::text is null or state = $1) and ($2::text is null or name = $2) and ($3::uuid is null or id < $3)
    order by id desc limit $4`;
  // Index: flow_nodes_name (flow_id), primary keys.
  const tree = `select n.name, n.job_id, n.definition, n.queue, coalesce(j.state, n.state) as state, n.on_failure, n.reason,
      n.finished_at, a.name as added_by,
      case when n.compensation is not null then coalesce(u.state, 'none') end as undo_state, u.job_id as undo_job_id
    from ${nodes} n
    left join ${table("jobs")} j on j.id = n.job_id
    left join ${nodes} a on a.job_id = n.added_by
    left join ${table("flow_undos")} u on u.node_id = n.job_id
    where n.flow_id = $1 order by n.position, n.job_id`;
  // All of the flow in one join: node by node, a plan made for a wide fan-in would read all edges for each. Index: as above, flow_edges (child_id).
  const after = `select e.child_id, p.name from ${nodes} n
    join ${edges} e on e.child_id = n.job_id
    join ${nodes} p on p.job_id = e.parent_id
    where n.flow_id = $1 and e.kind = 'after' order by p.position, p.name`;
  const outcome = `n.name, n.job_id, n.definition, n.state, n.result, n.reason`;
  // Index: flow_nodes_name; flow_edges primary key (child_id).
  const byName = {
    name: "warren_flow_outcome",
    text: `select ${outcome} from ${nodes} n where n.flow_id = $1 and n.name = $2`,
  };
  const byEdge = {
    name: "warren_flow_outcomes",
    text: `select ${outcome} from ${edges} e join ${nodes} n on n.job_id = e.parent_id
      where e.child_id = $1 and e.kind = $2 order by n.position, n.job_id`,
  };

  const nodeOf = { name: "warren_flow_node", text: `select name from ${nodes} where job_id = $1` };

  return {
    nodeOf: async (jobId) => text((await database.run(nodeOf, [jobId]))[0]?.["name"]),
    find: async (id) => first(await database.run(find, [id])),
    findByKey: async (name, key) => first(await database.run(findByKey, [name, key])),
    list: async ({ state, name, before, limit }) =>
      (await database.query(list, [state ?? null, name ?? null, before ?? null, limit])).rows.map(flowRecord),
    tree: async (id) => {
      const { rows } = await database.query(tree, [id]);
      // a node is written with its edges, so that those of each node read are there now
      const edgesNow = await database.query(after, [id]);
      const parents = Map.groupBy(edgesNow.rows, (row) => row["child_id"]);
      return rows.map((row) => flowNode(row, parents.get(row["job_id"]) ?? []));
    },
    outcomes: async (flowId, of) => {
      const rows =
        "node" in of
          ? await database.run(byName, [flowId, of.node])
          : "parentsOf" in of
            ? await database.run(byEdge, [of.parentsOf, "after"])
            : await database.run(byEdge, [of.childrenOf, "child"]);
      return rows.map(nodeOutcome);
    },
  };
}

const first = (rows: readonly Row[]): FlowRecord | undefined =>
  rows[0] === undefined ? undefined : flowRecord(rows[0]);
const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const date = (value: unknown): Date | undefined => (value instanceof Date ? value : undefined);

function flowRecord(row: Row): FlowRecord {
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    key: text(row["flow_key"]),
    state: row["state"] as FlowState,
    cause: text(row["cause"]) as FlowCause | undefined,
    reason: text(row["reason"]),
    failedNode: text(row["failed_node"]),
    stoppedBy: text(row["stopped_by"]),
    runs: Number(row["runs"]),
    correlationId: String(row["correlation_id"]),
    createdAt: row["created_at"] as Date,
    finishedAt: date(row["finished_at"]),
  };
}

function flowNode(row: Row, parents: readonly Row[]): FlowNode {
  const undo = text(row["undo_state"]);
  return {
    name: String(row["name"]),
    jobId: String(row["job_id"]),
    definition: String(row["definition"]),
    queue: String(row["queue"]),
    state: row["state"] as FlowNode["state"],
    onFailure: row["on_failure"] as FailurePolicy,
    reason: text(row["reason"]),
    after: parents.map(({ name }) => String(name)),
    addedBy: text(row["added_by"]),
    compensation: undo === undefined ? undefined : { state: undo as UndoState, jobId: text(row["undo_job_id"]) },
    finishedAt: date(row["finished_at"]),
  };
}

function nodeOutcome(row: Row): NodeOutcome {
  return {
    name: String(row["name"]),
    jobId: String(row["job_id"]),
    definition: String(row["definition"]),
    state: row["state"] as NodeState,
    result: row["result"] ?? undefined,
    reason: text(row["reason"]),
  };
}
