import type { ErrorCode } from "@warren/contracts";
import { FencedError, LedgerError } from "../errors.ts";
import { gateOfReturned } from "../gate.ts";
import type { SendableJob } from "../job.ts";
import { byIdOnly, type RunSql, type TableName } from "../postgres/sql.ts";
import { insertNodes } from "./create.ts";
import type { AddedNode, FlowState, NewNode } from "./flow.ts";

/** The attempt that adds: only a running job of the flow can, and only while it is this attempt's. */
export interface Adder {
  readonly id: string;
  readonly attempt: number;
  readonly workerId: string;
}

/** Jobs cannot be added: `FLOW_NOT_RUNNING`, `FLOW_PARENT_UNKNOWN`, `FLOW_CYCLE`. */
export class FlowGrowError extends LedgerError {
  constructor(
    code: Extract<ErrorCode, "FLOW_NOT_RUNNING" | "FLOW_PARENT_UNKNOWN" | "FLOW_CYCLE">,
    message: string,
    details: Readonly<Record<string, unknown>>,
  ) {
    super(code, message, { details });
  }
}

export interface Grown {
  /** In the order given; `created: false` for names that the flow has already. */
  readonly nodes: readonly AddedNode[];
  readonly ready: readonly SendableJob[];
}

export interface Growth {
  readonly flowId: string;
  readonly adder: Adder;
  /** `after` names nodes of the flow, or of these. */
  readonly nodes: readonly NewNode[];
}

/**
 * Adds children of a running job, in the caller's transaction. Whatever comes after the adder waits for them as well; the adder itself
 * only when it parks. Locks the flow's row (so that it cannot end meanwhile), then the adder's (so that it cannot finish).
 */
export async function growFlow(
  run: RunSql,
  growth: Growth,
  deps: { readonly table: TableName; readonly newId: () => string },
): Promise<Grown> {
  const { flowId, adder, nodes } = growth;
  const { table, newId } = deps;
  // Adders share the flow; those that join existing nodes take turns, since two of them could make a circle together.
  const alone = nodes.some(({ after }) => after.length > 0);
  await assertRunning(run, flowId, alone ? "no key update" : "share", table);
  await assertOwner(run, adder, table);

  const known = await nodesByName(
    run,
    flowId,
    [...nodes.map(({ name }) => name), ...nodes.flatMap(({ after }) => after)],
    table,
  );
  const fresh = nodes.filter(({ name }) => !known.has(name));
  const ids = new Map([...known].map(([name, { id }]) => [name, id]));
  for (const { name, job } of fresh) ids.set(name, job.id ?? newId());
  const parents = fresh.flatMap(({ name, after }) => after.map((parent) => ({ name, parent, id: ids.get(parent) })));
  for (const { name, parent, id } of parents) {
    if (id !== undefined) continue;
    throw new FlowGrowError(
      "FLOW_PARENT_UNKNOWN",
      `node "${name}" shall come after "${parent}", which the flow does not have`,
      {
        flowId,
        node: name,
        parent,
      },
    );
  }
  const joined = parents.filter(({ parent }) => known.has(parent));
  if (joined.length > 0) await refuseCircle(run, growth, joined, table);

  const rows = fresh.map((node, index) => ({
    node,
    id: ids.get(node.name) ?? "",
    position: 1_000_000 + index,
    blocked: node.after.length > 0,
    addedBy: adder.id,
  }));
  const ready = rows.length === 0 ? [] : await insertNodes(run, flowId, rows, table);
  await linkChildren(
    run,
    adder,
    rows.map(({ id }) => id),
    table,
  );
  await linkParents(
    run,
    flowId,
    parents.map(({ name, id }) => ({ child: ids.get(name) ?? "", parent: id ?? "" })),
    table,
  );

  const readyIds = new Set(ready.map(({ id }) => id));
  const added = nodes.map(({ name, job, after }): AddedNode => {
    const existing = known.get(name);
    if (existing !== undefined) return { name, id: existing.id, created: false, state: existing.state };
    const id = ids.get(name) ?? "";
    const waiting = job.delayMs === undefined && job.runAt === undefined ? "ready" : "scheduled";
    const state = after.length > 0 ? "blocked" : readyIds.has(id) ? "ready" : waiting;
    return { name, id, created: true, state };
  });
  return { nodes: added, ready };
}

async function assertRunning(run: RunSql, flowId: string, strength: "share" | "no key update", table: TableName) {
  const { rows } = await run(`select state from ${table("flows")} where id = $1 for ${strength}`, [flowId]);
  const state = rows[0]?.["state"] as FlowState | undefined;
  if (state === "running") return;
  const why = state === undefined ? "does not exist" : `is ${state}`;
  throw new FlowGrowError("FLOW_NOT_RUNNING", `jobs cannot be added to flow ${flowId}: it ${why}`, { flowId, state });
}

async function assertOwner(run: RunSql, { id, attempt, workerId }: Adder, table: TableName): Promise<void> {
  const { rows } = await run(
    `select 1 from ${table("jobs")}
     where id = $1 and attempt = $2 and worker_id = $3 and ${byIdOnly("state")} = 'running' for share`,
    [id, attempt, workerId],
  );
  if (rows.length === 0) throw new FencedError(id, attempt);
}

// Index: flow_nodes_name.
async function nodesByName(run: RunSql, flowId: string, names: readonly string[], table: TableName) {
  const { rows } = await run(
    `select n.name, n.job_id, case n.state
         when 'open' then (select j.state from ${table("jobs")} j where j.id = n.job_id)
         when 'succeeded' then 'succeeded' when 'failed' then 'dead' else 'cancelled' end as state
     from json_array_elements_text($2::text::json) w(name)
     join ${table("flow_nodes")} n on n.flow_id = $1 and n.name = w.name`,
    [flowId, JSON.stringify([...new Set(names)])],
  );
  return new Map(
    rows.map((row) => [
      String(row["name"]),
      { id: String(row["job_id"]), state: (row["state"] ?? "ready") as AddedNode["state"] },
    ]),
  );
}

/** A node that waits for the adder, directly or not, cannot be waited for by the adder's child: both would wait for ever. */
async function refuseCircle(
  run: RunSql,
  { flowId, adder }: Growth,
  joined: readonly { readonly name: string; readonly parent: string; readonly id: string | undefined }[],
  table: TableName,
): Promise<void> {
  const { rows } = await run(
    `with recursive later as (
       select $1::uuid as id, array(select name from ${table("flow_nodes")} where job_id = $1::uuid) as path
       union
       select e.child_id, l.path || n.name from later l
       join ${table("flow_edges")} e on e.parent_id = l.id
       join ${table("flow_nodes")} n on n.job_id = e.child_id
       where not n.name = any (l.path)
     )
     select id, path from later where id in (select value::uuid from json_array_elements_text($2::text::json)) limit 1`,
    [adder.id, JSON.stringify(joined.map(({ id }) => id))],
  );
  const [row] = rows;
  if (row === undefined) return;
  const child = joined.find(({ id }) => id === row["id"]);
  const path = [child?.name ?? "", ...(row["path"] as readonly string[]).slice(1), child?.name ?? ""];
  throw new FlowGrowError("FLOW_CYCLE", `the jobs wait for each other in a circle: ${path.join(" → ")}`, {
    flowId,
    path,
  });
}

/**
 * Whatever comes after the adder comes after its children, too; the adder waits for them if it parks. Nobody can see the children
 * yet, so no settlement of theirs can miss these edges. Index: flow_edges_parent.
 */
async function linkChildren(run: RunSql, { id }: Adder, children: readonly string[], table: TableName): Promise<void> {
  if (children.length === 0) return;
  await run(
    `insert into ${table("flow_edges")} (child_id, parent_id, kind, blocking)
     select w.id, c.value::uuid, w.kind, true
     from json_array_elements_text($2::text::json) c(value)
     cross join (
       select $1::uuid as id, 'child' as kind
       union all
       select child_id, kind from ${table("flow_edges")} where parent_id = $1::uuid
     ) w`,
    [id, JSON.stringify(children)],
  );
}

/**
 * The node joined may be finishing at this moment, and its settlement misses the new edge. So each joining child signals itself: whoever
 * follows that up looks at the parent's node.
 */
async function linkParents(
  run: RunSql,
  flowId: string,
  edges: readonly { readonly child: string; readonly parent: string }[],
  table: TableName,
): Promise<void> {
  if (edges.length === 0) return;
  await run(
    `with edges as (
       insert into ${table("flow_edges")} (child_id, parent_id, kind, blocking, failed)
       select e.child, e.parent, 'after',
         n.state <> 'succeeded' and (n.state = 'open' or n.on_failure <> 'ignore'), n.state not in ('open', 'succeeded')
       from json_to_recordset($2::text::json) as e(child uuid, parent uuid)
       join ${table("flow_nodes")} n on n.job_id = e.parent
       on conflict do nothing
       returning child_id
     )
     insert into ${table("flow_signals")} (flow_id, job_id) select distinct $1::uuid, child_id from edges`,
    [flowId, JSON.stringify(edges)],
  );
}

/**
 * Takes a running job off its worker until its children have finished: `running` → `blocked`, excused. `none`: it has no unfinished
 * child, and runs on. @throws FencedError
 */
export async function parkJob(
  run: RunSql,
  { flowId, adder }: { readonly flowId: string; readonly adder: Adder },
  table: TableName,
): Promise<"parked" | "none"> {
  await assertOwner(run, adder, table);
  // Index: flow_edges primary key (child_id).
  const { rows } = await run(
    `select 1 from ${table("flow_edges")} e join ${table("flow_nodes")} c on c.job_id = e.parent_id
     where e.child_id = $1 and e.kind = 'child' and (c.state = 'open' or e.blocking) limit 1`,
    [adder.id],
  );
  if (rows.length === 0) return "none";
  const parked = await run(
    `update ${table("jobs")}
     set state = 'blocked', worker_id = null, excused = excused + 1, settled = attempt, probe = false, sent_at = null,
       gate = ${gateOfReturned(table, "")}
     where id = $1 and attempt = $2 and worker_id = $3 and ${byIdOnly("state")} = 'running'
     returning 1`,
    [adder.id, adder.attempt, adder.workerId],
  );
  if (parked.rows.length === 0) throw new FencedError(adder.id, adder.attempt);
  // its last child may be finishing at this moment
  await run(`insert into ${table("flow_signals")} (flow_id, job_id) values ($1, $2)`, [flowId, adder.id]);
  return "parked";
}
