import { insertJobs, jobInput, jobRowJson, payloadJson } from "../enqueue/job-insert.ts";
import { LedgerConflictError } from "../errors.ts";
import type { NewJob, SendableJob } from "../job.ts";
import { plainArray } from "../postgres/arrays.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { finishFlow } from "./finish.ts";
import type { FlowState, NewFlow, NewNode, StartedFlow } from "./flow.ts";

const nodesPerStatement = 1_000;
const edgesPerStatement = 10_000;

export interface CreateDeps {
  readonly table: TableName;
  readonly newId: () => string;
}

/** Writes a flow with all its jobs in the caller's transaction, or finds the one that has its key. */
export async function createFlow(run: RunSql, flow: NewFlow, deps: CreateDeps): Promise<StartedFlow> {
  const { table, newId } = deps;
  const id = newId();
  // A key waits for whoever is starting the same flow, so that exactly one wins. Index: flows_key.
  const made = await run(
    `insert into ${table("flows")} (id, state, name, flow_key, correlation_id, trace, on_finished)
     values ($1, 'running', $2, $3, $4, $5, $6::text::jsonb)
     on conflict (name, flow_key) where flow_key is not null do nothing returning id`,
    [
      id,
      flow.name,
      flow.key ?? null,
      flow.correlationId,
      flow.trace ?? null,
      flow.onFinished === undefined ? null : JSON.stringify(flow.onFinished),
    ],
  );
  if (made.rows.length === 0) return findStarted(run, flow, table);

  const ids = new Map(flow.nodes.map(({ name, job }) => [name, job.id ?? newId()]));
  const ready: SendableJob[] = [];
  for (let start = 0; start < flow.nodes.length; start += nodesPerStatement) {
    const rows = flow.nodes.slice(start, start + nodesPerStatement).map((node, index) => ({
      node,
      id: idOf(ids, node.name),
      position: start + index,
      blocked: node.after.length > 0,
      addedBy: undefined,
    }));
    for (const job of await insertNodes(run, id, rows, table)) ready.push(job);
  }
  const edges = flow.nodes.flatMap(({ name, after }) =>
    after.map((parent) => ({ child: idOf(ids, name), parent: idOf(ids, parent) })),
  );
  for (let start = 0; start < edges.length; start += edgesPerStatement) {
    await insertEdges(run, edges.slice(start, start + edgesPerStatement), table);
  }
  let state: FlowState = "running";
  if (flow.nodes.length === 0) {
    const finished = await finishFlow(run, id, deps);
    state = finished.state;
    for (const job of finished.ready) ready.push(job);
  }
  return { id, created: true, state, jobs: Object.fromEntries(ids), ready };
}

function idOf(ids: ReadonlyMap<string, string>, name: string): string {
  const id = ids.get(name);
  if (id === undefined) throw new RangeError(`a flow without the node "${name}" that another comes after`);
  return id;
}

// Index: flows_key, flow_nodes_name.
async function findStarted(run: RunSql, { name, key }: NewFlow, table: TableName): Promise<StartedFlow> {
  const { rows } = await run(
    `select f.id, f.state, n.name, n.job_id from ${table("flows")} f
     left join ${table("flow_nodes")} n on n.flow_id = f.id and n.added_by is null
     where f.name = $1 and f.flow_key = $2 order by n.position`,
    [name, key ?? null],
  );
  const [first] = rows;
  if (first === undefined) {
    throw new LedgerConflictError(
      `the flow "${name}" with the key "${key ?? ""}" is being started by another transaction`,
    );
  }
  const jobs = rows.filter((row) => row["job_id"] !== null).map((row) => [String(row["name"]), String(row["job_id"])]);
  return {
    id: String(first["id"]),
    created: false,
    state: first["state"] as FlowState,
    jobs: Object.fromEntries(jobs) as Record<string, string>,
    ready: [],
  };
}

export interface NodeRow {
  readonly node: Omit<NewNode, "after">;
  readonly id: string;
  readonly position: number;
  readonly blocked: boolean;
  readonly addedBy: string | undefined;
}

/** Inserts jobs with their nodes; answers those that are ready. Inserts only: locks nothing that exists. */
export async function insertNodes(
  run: RunSql,
  flowId: string,
  rows: readonly NodeRow[],
  table: TableName,
): Promise<readonly SendableJob[]> {
  const jobs = rows.map(({ node, id, blocked }) => {
    // the delay of a blocked job starts when it is unblocked
    const timed: NewJob = blocked ? { ...node.job, delayMs: undefined } : node.job;
    const job: NewJob = { ...timed, blocked, linked: true, flowId };
    return jobRowJson({ job, id, payload: payloadJson(job) });
  });
  const nodes = rows.map(({ node, id, position, addedBy, blocked }) => ({
    job_id: id,
    added_by: addedBy,
    delay_ms: blocked ? node.job.delayMs : undefined,
    position,
    eager: node.startOnFailure,
    on_failure: node.onFailure,
    name: node.name,
    definition: node.job.name,
    queue: node.job.queue,
    breakers: node.job.breakers ?? [],
    compensation: node.compensation,
  }));
  const answer = await run(
    `with jobs as (
       ${insertJobs(table, { rare: true })} from ${jobInput(1)}
       returning id, queue, name, attempt, state, gate
     ),
     nodes as (
       insert into ${table("flow_nodes")} (
         job_id, flow_id, added_by, delay_ms, position, eager, on_failure, name, definition, queue, breakers,
         compensation
       )
       select job_id, $3::uuid, added_by, delay_ms, position, eager, on_failure, name, definition, queue, breakers,
         compensation
       from json_to_recordset($2::text::json) as n(
         job_id uuid, added_by uuid, delay_ms double precision, position integer, eager boolean, on_failure text, name text,
         definition text, queue text, breakers text[], compensation jsonb
       )
     )
     select id, queue, name, attempt from jobs where state = 'ready' and gate = 0`,
    [`[${jobs.join(",")}]`, JSON.stringify(nodes), flowId],
  );
  return answer.rows.map((row) => ({
    id: String(row["id"]),
    queue: String(row["queue"]),
    name: String(row["name"]),
    attempt: Number(row["attempt"]),
  }));
}

/** Edges between jobs of which none has started. */
async function insertEdges(
  run: RunSql,
  edges: readonly { readonly child: string; readonly parent: string }[],
  table: TableName,
): Promise<void> {
  await run(
    `insert into ${table("flow_edges")} (child_id, parent_id, kind, blocking)
     select child, parent, 'after', true
     from unnest($1::text::uuid[], $2::text::uuid[]) as e(child, parent)`,
    [plainArray(edges.map(({ child }) => child)), plainArray(edges.map(({ parent }) => parent))],
  );
}
