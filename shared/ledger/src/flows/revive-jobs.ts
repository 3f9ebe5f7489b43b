import type { FinishedJob } from "../follow-ups.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { type LockedFlow, lockFlows } from "./advance.ts";
import { type ReviveRefusal } from "./retriable.ts";
import { type ReviveDeps, reviveIn } from "./revive.ts";

/** Where jobs stand in flows, and those flows, locked. */
export interface FlowPlaces {
  readonly places: readonly Place[];
  readonly flows: readonly LockedFlow[];
}

interface Place {
  readonly jobId: string;
  readonly flowId: string;
  /** Undefined: the job undoes a node. */
  readonly node: string | undefined;
}

/** Why a job of a flow does not come back. */
export interface FlowRefusal {
  readonly code: ReviveRefusal | "FLOW_NOT_FOUND";
  readonly detail: string;
}

/**
 * Finds the flows of jobs and locks their rows, in id order: before any row of their jobs, as everybody does. A job never changes its flow.
 * Index: primary keys, flow_undos_job.
 */
export async function lockFlowsOf(run: RunSql, jobs: readonly string[], table: TableName): Promise<FlowPlaces> {
  const { rows } = await run(
    `select job_id, flow_id, name from ${table("flow_nodes")} where job_id = any ($1::uuid[])
     union all
     select job_id, flow_id, null from ${table("flow_undos")} where job_id = any ($1::uuid[])`,
    [jobs],
  );
  const places = rows.map((row) => ({
    jobId: String(row["job_id"]),
    flowId: String(row["flow_id"]),
    node: typeof row["name"] === "string" ? row["name"] : undefined,
  }));
  const flows =
    places.length === 0 ? [] : await lockFlows(run, [...new Set(places.map(({ flowId }) => flowId))], table);
  return { places, flows };
}

export interface RevivedJobs {
  /** Of each job that did not come back, why. */
  readonly refusals: ReadonlyMap<string, FlowRefusal>;
  /** To be followed up after the commit. */
  readonly finished: readonly FinishedJob[];
}

/**
 * Retries dead and cancelled jobs through their flows, those of one flow together: with each comes back what was cancelled or skipped
 * because of it. Failed compensations go on. Of a flow that may not be retried, all are refused; one that could only be skipped again
 * is refused alone. The caller has locked the flows with `lockFlowsOf`, and then the jobs' rows in history.
 */
export async function reviveJobsIn(
  run: RunSql,
  jobs: ReadonlySet<string>,
  { places, flows }: FlowPlaces,
  deps: ReviveDeps,
): Promise<RevivedJobs> {
  const refusals = new Map<string, FlowRefusal>();
  for (const id of jobs) refusals.set(id, { code: "FLOW_NOT_FOUND", detail: "its flow was removed" });
  const finished: FinishedJob[] = [];

  async function retry(flow: LockedFlow, own: readonly Place[], names: readonly string[] | undefined): Promise<void> {
    const reviving = await reviveIn(run, flow, names, deps);
    const { revived } = reviving;
    finished.push(...reviving.finished);
    if (revived.kind === "retried") {
      for (const { jobId } of own) refusals.delete(jobId);
      return;
    }
    for (const { jobId } of own) refusals.set(jobId, revived);
    const fit = own.filter(({ node }) => node === undefined || !revived.nodes.includes(node));
    if (revived.nodes.length > 0 && fit.length > 0) await retry(flow, fit, namesOf(fit));
  }

  for (const flow of flows) {
    const own = places.filter(({ flowId, jobId }) => flowId === flow.id && jobs.has(jobId));
    const nodes = own.filter(({ node }) => node !== undefined);
    const undos = own.filter(({ node }) => node === undefined);
    if (nodes.length > 0) await retry(flow, nodes, namesOf(nodes));
    if (undos.length > 0) await retry(flow, undos, undefined);
  }
  return { refusals, finished };
}

const namesOf = (places: readonly Place[]): readonly string[] => places.flatMap(({ node }) => node ?? []);
