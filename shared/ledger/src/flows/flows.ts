import type { FinishedJob, FollowUp, FollowUps } from "../follow-ups.ts";
import type { SendableJob } from "../job.ts";
import type { Database } from "../postgres/database.ts";
import type { retrying } from "../postgres/retrying.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { createAdvance, lockFlow, type Settling } from "./advance.ts";
import { createFlow } from "./create.ts";
import { type Advanced, endedStates, type FlowRecord, type NewFlow, type StartedFlow } from "./flow.ts";
import { recordFinished } from "./follow-up.ts";
import { forgetSql } from "./forget.ts";
import { type Adder, type Grown, type Growth, growFlow, parkJob } from "./grow.ts";
import { createFlowQueries, type FlowQueries } from "./queries.ts";
import type { Revived } from "./retriable.ts";
import { reviveIn } from "./revive.ts";

export type FlowCancelled =
  | { readonly kind: "cancelled"; readonly flow: FlowRecord; readonly cancelRequested: readonly string[] }
  /** It is stopping or being compensated already. */
  | { readonly kind: "ending"; readonly flow: FlowRecord }
  | { readonly kind: "finished"; readonly flow: FlowRecord }
  | { readonly kind: "missing" };

export type FlowRemoved = "removed" | "unfinished" | "missing";

/** Flows: jobs that depend on each other. */
export interface Flows extends FlowQueries {
  /** Writes a flow and all its jobs, or nothing; or finds the one of the same name and key. */
  create(flow: NewFlow): Promise<StartedFlow>;
  /** The same in the caller's transaction (read committed). Publish what is ready only after its commit. */
  createIn(run: RunSql, flow: NewFlow): Promise<StartedFlow>;
  /** Adds children of a running job. @throws FlowGrowError, FencedError. */
  grow(growth: Growth): Promise<Grown>;
  growIn(run: RunSql, growth: Growth): Promise<Grown>;
  /** Takes a running job off its worker until the children that it has added are finished. @throws FencedError. */
  park(parking: { readonly flowId: string; readonly adder: Adder }): Promise<"parked" | "none">;
  /** Cancels what waits, asks what runs to stop, and then undoes what is done. */
  cancel(id: string, why: { readonly reason: string; readonly by: string }): Promise<FlowCancelled>;
  /**
   * Runs again what failed, what was cancelled for it and what was skipped; what is done is not run again. With `nodes`, of the failed
   * ones only these. Calls nothing back: what could start without them (their failure was ignored) goes on. Of a flow whose compensation failed: goes on with the compensation.
   */
  retry(id: string, nodes?: readonly string[]): Promise<Revived>;
  /** Forgets an ended flow with its jobs, or nothing of it. */
  remove(id: string): Promise<FlowRemoved>;
  /** Follows up the end of these jobs now, if nobody has yet. */
  follow(jobs: readonly string[]): Promise<void>;
  /** Follows up what others left behind; for the dispatcher, which publishes what is ready. */
  sweep(sweep: { readonly limit: number }): Promise<Advanced & { readonly signals: number }>;
  /** Looks at flows whose running jobs should have ended: cancels what fell back to waiting. */
  sweepStopping(sweep: { readonly limit: number }): Promise<Advanced>;
  /**
   * Hears of jobs that this process has made ready, to publish them at once. While somebody listens, the dispatcher leaves them to it for
   * 5 s. Answers the function that ends it.
   */
  onReady(listener: ReadyListener): () => void;
}

export type ReadyListener = (jobs: readonly SendableJob[]) => void;

export interface FlowsDeps {
  readonly database: Database;
  readonly table: TableName;
  readonly newId: () => string;
  readonly followUps: () => FollowUps;
  readonly again: ReturnType<typeof retrying>;
}

/** For how long the dispatcher leaves jobs to the process that made them ready. */
const announceGraceMs = 5_000;
/** The same for jobs that the dispatcher itself has in hand: its send lease. */
const sweepGraceMs = 10_000;

export function createFlows(deps: FlowsDeps): { readonly flows: Flows; readonly followUp: FollowUp } {
  const { database, table, newId, followUps } = deps;
  const { repeatable, undone } = deps.again;
  const advance = createAdvance({ database, table, newId, followUps });
  const queries = createFlowQueries(database, table);
  const listeners = new Set<ReadyListener>();
  const graceMs = (): number => (listeners.size > 0 ? announceGraceMs : 0);

  function tell(ready: readonly SendableJob[]): void {
    const [listener] = listeners;
    // one that has run before has used up messages that count its attempts: the dispatcher sends it
    const fresh = ready.filter(({ attempt }) => attempt === 0);
    if (fresh.length > 0) listener?.(fresh);
  }

  async function follow(jobs: readonly string[]): Promise<void> {
    if (jobs.length === 0) return;
    tell((await undone(() => advance.step({ jobs }, graceMs()))).ready);
  }

  /** Runs a change of a flow under its lock, and then tells who must know. */
  async function change<T extends { readonly settling: Settling }>(work: (run: RunSql) => Promise<T>): Promise<T> {
    const changed = await undone(() => database.transaction(work));
    await followUps().committed(changed.settling.finished);
    tell(changed.settling.ready);
    return changed;
  }

  async function cancel(id: string, { reason, by }: { reason: string; by: string }): Promise<FlowCancelled> {
    const { was, settling } = await change(async (run) => {
      const flow = await lockFlow(run, id, table);
      if (flow?.state !== "running") return { was: flow?.state, settling: noSettling };
      const stopping = { cause: "cancelled", reason, failedNode: undefined, by } as const;
      return { was: flow.state, settling: await advance.stopIn(run, id, stopping) };
    });
    const flow = await queries.find(id);
    if (was === undefined || flow === undefined) return { kind: "missing" };
    if (was === "running") return { kind: "cancelled", flow, cancelRequested: settling.cancelRequested };
    return { kind: endedStates.has(was) ? "finished" : "ending", flow };
  }

  async function retry(id: string, nodes?: readonly string[]): Promise<Revived> {
    const { revived } = await change(async (run) => {
      const flow = await lockFlow(run, id, table);
      if (flow === undefined) return { revived: { kind: "missing" } as const, settling: noSettling };
      const answer = await reviveIn(run, flow, nodes, { table, followUps });
      const ready = answer.revived.kind === "retried" ? answer.revived.ready : [];
      return { revived: answer.revived, settling: { ready, cancelRequested: [], finished: answer.finished } };
    });
    return revived;
  }

  async function sweepStopping({ limit }: { limit: number }): Promise<Advanced> {
    // Index: flows_stopping.
    const { rows } = await database.query(`select id from ${table("flows")} where state = 'stopping' limit $1`, [
      limit,
    ]);
    const ready: SendableJob[] = [];
    const cancelRequested: string[] = [];
    for (const row of rows) {
      const settled = await undone(() => advance.settleFlow(String(row["id"]), sweepGraceMs));
      ready.push(...settled.ready);
      cancelRequested.push(...settled.cancelRequested);
    }
    return { ready, cancelRequested };
  }

  /** Locks the flow's row; nothing else holds any of it once it has ended. Index: flow_nodes_name (flow_id), primary keys. */
  async function remove(id: string): Promise<FlowRemoved> {
    return undone(() =>
      database.transaction(async (run) => {
        const flow = await lockFlow(run, id, table);
        if (flow === undefined) return "missing";
        if (!endedStates.has(flow.state)) return "unfinished";
        await run(
          `delete from ${table("jobs_history")} h using ${table("flow_nodes")} n where n.flow_id = $1 and h.id = n.job_id`,
          [id],
        );
        await run(
          `delete from ${table("jobs_history")} h using ${table("flow_undos")} u where u.flow_id = $1 and h.id = u.job_id`,
          [id],
        );
        await run(forgetSql(table), [[id]]);
        return "removed";
      }),
    );
  }

  const flows: Flows = {
    find: (id) => repeatable(() => queries.find(id)),
    findByKey: (name, key) => repeatable(() => queries.findByKey(name, key)),
    list: (filter) => repeatable(() => queries.list(filter)),
    tree: (id) => repeatable(() => queries.tree(id)),
    nodeOf: (jobId) => repeatable(() => queries.nodeOf(jobId)),
    outcomes: (flowId, of) => repeatable(() => queries.outcomes(flowId, of)),
    create: (flow) => undone(() => database.transaction((run) => createFlow(run, flow, { table, newId }))),
    createIn: (run, flow) => createFlow(run, flow, { table, newId }),
    grow: (growth) => undone(() => database.transaction((run) => growFlow(run, growth, { table, newId }))),
    growIn: (run, growth) => growFlow(run, growth, { table, newId }),
    park: async (parking) => {
      const parked = await undone(() => database.transaction((run) => parkJob(run, parking, table)));
      if (parked === "parked") await follow([parking.adder.id]);
      return parked;
    },
    cancel,
    retry,
    remove,
    follow,
    sweep: ({ limit }) => undone(() => advance.step({ limit }, sweepGraceMs)),
    sweepStopping,
    onReady(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  return {
    flows,
    followUp: {
      finished: (run, jobs) => recordFinished(run, jobs, table),
      committed: (jobs) => follow(ofFlows(jobs)),
    },
  };
}

const ofFlows = (jobs: readonly FinishedJob[]): readonly string[] =>
  jobs.filter(({ flowId }) => flowId !== undefined).map(({ id }) => id);

const noSettling: Settling = { ready: [], cancelRequested: [], finished: [] };
