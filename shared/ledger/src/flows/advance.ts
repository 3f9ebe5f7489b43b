import type { FinishedJob, FollowUps } from "../follow-ups.ts";
import type { SendableJob } from "../job.ts";
import { plainArray } from "../postgres/arrays.ts";
import type { Database, Row } from "../postgres/database.ts";
import type { RunSql, Statement, TableName } from "../postgres/sql.ts";
import { finishFlow } from "./finish.ts";
import { type Advanced, type FlowCause, type FlowState, stopReasons } from "./flow.ts";
import { skipJobs, stopJobs } from "./stop.ts";
import { isBroken, readyJob, unblockCtes } from "./unblock.ts";

export interface AdvanceDeps {
  readonly database: Database;
  readonly table: TableName;
  readonly newId: () => string;
  /** Of all features: a flow also ends jobs. */
  readonly followUps: () => FollowUps;
}

/** Which signals to follow up: those of these jobs, or the oldest. */
type Signals = { readonly jobs: readonly string[] } | { readonly limit: number };

interface Step extends Advanced {
  /** Signals followed up. */
  readonly signals: number;
}

/** Why a flow stops. */
interface Stopping {
  readonly cause: FlowCause;
  readonly reason: string;
  readonly failedNode: string | undefined;
  readonly by: string | undefined;
}

export interface Advance {
  /**
   * Follows up what happened. Most signals only unblock what waits for them, which takes one statement and no lock but on the unblocked
   * jobs. Signals that may end or fail their flow are taken up flow by flow, under the lock of its row. Whatever dies in between, the
   * signal is still there.
   */
  step(signals: Signals, graceMs: number): Promise<Step>;
  /** Follows up one flow: under the lock of its row. */
  settleFlow(flowId: string, graceMs: number): Promise<Advanced>;
  /** The same in the caller's transaction, which holds the flow's row already. */
  settleIn(run: RunSql, flow: LockedFlow, graceMs: number): Promise<Settling>;
  stopIn(run: RunSql, flowId: string, stopping: Stopping): Promise<Settling>;
}

export interface LockedFlow {
  readonly id: string;
  readonly state: FlowState;
  readonly cause: FlowCause | undefined;
  readonly by: string | undefined;
}

/** What a step in a transaction has done, with what is to be followed up after its commit. */
export interface Settling extends Advanced {
  readonly finished: readonly FinishedJob[];
}

const nothing: Settling = { ready: [], cancelRequested: [], finished: [] };

export function createAdvance({ database, table, newId, followUps }: AdvanceDeps): Advance {
  const statements = { ofJobs: stepSql(table, "jobs"), oldest: stepSql(table, "oldest") };
  const finishDeps = { table, newId };

  async function step(signals: Signals, graceMs: number): Promise<Step> {
    const rows =
      "jobs" in signals
        ? await database.run(statements.ofJobs, [graceMs, plainArray(signals.jobs)])
        : await database.run(statements.oldest, [graceMs, signals.limit]);
    const ready = rows
      .filter((row) => row["what"] === "job")
      .map(readyJob)
      .filter((job) => job !== undefined);
    const cancelRequested: string[] = [];
    const failures: unknown[] = [];
    for (const row of rows.filter((one) => one["what"] === "flow")) {
      try {
        const settled = await settleFlow(String(row["id"]), graceMs);
        ready.push(...settled.ready);
        cancelRequested.push(...settled.cancelRequested);
      } catch (error) {
        // one flow must not hold up the others; what was made ready and is not told here, the dispatcher finds
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return { ready, cancelRequested, signals: Number(rows.find((row) => row["what"] === "count")?.["attempt"] ?? 0) };
  }

  async function settleFlow(flowId: string, graceMs: number): Promise<Advanced> {
    const settled = await database.transaction(async (run) => {
      const flow = await lockFlow(run, flowId, table);
      if (flow !== undefined) return settleIn(run, flow, graceMs);
      await takeSignals(run, flowId);
      return nothing;
    });
    await followUps().committed(settled.finished);
    return settled;
  }

  async function settleIn(run: RunSql, flow: LockedFlow, graceMs: number): Promise<Settling> {
    const changed = await takeSignals(run, flow.id);
    switch (flow.state) {
      case "running":
        return goOn(run, flow, changed, graceMs);
      case "stopping":
        return stopJobsOf(run, flow);
      case "compensating":
        return { ...nothing, ready: (await finishFlow(run, flow.id, finishDeps)).ready };
      case "succeeded":
      case "failed":
      case "compensated":
      case "compensation_failed":
      case "cancelled":
        return nothing;
      default:
        return flow.state satisfies never;
    }
  }

  async function goOn(run: RunSql, flow: LockedFlow, signalled: readonly string[], graceMs: number): Promise<Settling> {
    const failure = await fatalAmong(run, signalled);
    if (failure !== undefined) {
      return stopIn(run, flow.id, { cause: "failed", ...failure, by: undefined });
    }
    const finished: FinishedJob[] = [];
    const changed = [...signalled];
    for (let latest = signalled; latest.length > 0; ) {
      const skipped = await skipJobs(run, latest, table);
      finished.push(...(await followUps().finished(run, skipped)));
      latest = skipped.length === 0 ? [] : await takeSignals(run, flow.id);
      changed.push(...latest);
    }
    const { rows } = await run(
      `with ${unblockCtes(table, { changed: "unnest($2::uuid[]) as c(job_id)", grace: "$1::float8" })} select * from unblocked`,
      [graceMs, changed],
    );
    const ready = rows.map(readyJob).filter((job) => job !== undefined);
    if (!(await hasOpenNode(run, flow.id))) ready.push(...(await finishFlow(run, flow.id, finishDeps)).ready);
    return { ready, cancelRequested: [], finished };
  }

  async function stopIn(run: RunSql, flowId: string, stopping: Stopping): Promise<Settling> {
    const { cause, reason, failedNode, by } = stopping;
    await run(
      `update ${table("flows")}
       set state = 'stopping', cause = $2, reason = $3, failed_node = $4, stopped_by = $5, stopped_at = clock_timestamp()
       where id = $1`,
      [flowId, cause, reason, failedNode ?? null, by ?? null],
    );
    return stopJobsOf(run, { id: flowId, state: "stopping", cause, by });
  }

  async function stopJobsOf(run: RunSql, flow: LockedFlow): Promise<Settling> {
    const reason = stopReasons[flow.cause ?? "cancelled"];
    const { cancelled, running } = await stopJobs(run, { flowId: flow.id, reason, by: flow.by ?? null }, table);
    const finished = await followUps().finished(run, cancelled);
    // the cancelled have no consequences beyond this: nothing of a stopping flow starts any more
    await takeSignals(run, flow.id);
    const over = running.length === 0 && !(await hasOpenNode(run, flow.id));
    const ready: readonly SendableJob[] = over ? (await finishFlow(run, flow.id, finishDeps)).ready : [];
    return { ready, cancelRequested: running, finished };
  }

  // Those that another holds are followed up by it, or by a later step. Index: flow_signals_flow.
  async function takeSignals(run: RunSql, flowId: string): Promise<readonly string[]> {
    const { rows } = await run(
      `delete from ${table("flow_signals")} where id = any (array(
         select id from ${table("flow_signals")} where flow_id = $1 order by id for update skip locked
       )) returning job_id`,
      [flowId],
    );
    return [...new Set(rows.map((row) => String(row["job_id"])))];
  }

  /** The first of these nodes whose failure fails the flow. One that was skipped has its cause elsewhere. */
  async function fatalAmong(run: RunSql, jobs: readonly string[]) {
    const { rows } = await run(
      `select name, reason, state from ${table("flow_nodes")}
       where job_id = any ($1::uuid[]) and (state || '') in ('failed', 'cancelled') and on_failure = 'fail'
       order by done_seq limit 1`,
      [jobs],
    );
    const [row] = rows;
    return row === undefined ? undefined : { failedNode: String(row["name"]), reason: String(row["reason"]) };
  }

  // Index: flow_nodes_open; the first entry answers.
  async function hasOpenNode(run: RunSql, flowId: string): Promise<boolean> {
    const { rows } = await run(`select from ${table("flow_nodes")} where flow_id = $1 and state = 'open' limit 1`, [
      flowId,
    ]);
    return rows.length > 0;
  }

  return { step, settleFlow, settleIn, stopIn };
}

/** Locks a flow against every other change of its state. The lock of a flow comes before those of its jobs. */
export async function lockFlow(run: RunSql, flowId: string, table: TableName): Promise<LockedFlow | undefined> {
  const [flow] = await lockFlows(run, [flowId], table);
  return flow;
}

/** The same for several, in id order. Index: primary key. */
export async function lockFlows(run: RunSql, ids: readonly string[], table: TableName): Promise<readonly LockedFlow[]> {
  const { rows } = await run(
    `select id, state, cause, stopped_by from ${table("flows")} where id = any ($1::uuid[]) order by id for update`,
    [ids],
  );
  return rows.map(lockedFlow);
}

function lockedFlow(row: Row): LockedFlow {
  return {
    id: String(row["id"]),
    state: row["state"] as FlowState,
    cause: (row["cause"] as FlowCause | null) ?? undefined,
    by: (row["stopped_by"] as string | null) ?? undefined,
  };
}

/**
 * Takes signals, unblocks what waits for those that are plain, and deletes these; the others stay, and their flows are named. Plain: the
 * flow runs on, the node has succeeded or its failure is ignored, and it was not the last. One statement, so one snapshot: it was
 * taken after the signals were committed, and with them the edges that they closed. Of siblings that end at once, the one whose
 * signal is taken last sees them all.
 */
function stepSql(table: TableName, which: "jobs" | "oldest"): Statement {
  const picked = which === "jobs" ? "job_id = any ($2::uuid[]) order by id" : "true order by id limit $2";
  return {
    name: which === "jobs" ? "warren_flows_follow" : "warren_flows_sweep",
    text: `with picked as materialized (
    select id, flow_id, job_id from ${table("flow_signals")} where ${picked} for update skip locked
  ),
  judged as materialized (
    select p.id, p.flow_id, p.job_id, coalesce(
        f.state = 'running' and (n.state in ('open', 'succeeded') or n.on_failure = 'ignore')
          and not (n.state = 'open' and ${isBroken(table, "p.job_id")})
          and exists (select from ${table("flow_nodes")} o where o.flow_id = p.flow_id and o.state = 'open'),
        false
      ) as plain
    from picked p
    left join lateral (select state from ${table("flows")} where id = p.flow_id offset 0) f on true
    left join lateral (
      select state, on_failure from ${table("flow_nodes")} where job_id = p.job_id offset 0
    ) n on true
  ),
  plain as (select id, job_id from judged where plain),
  ${unblockCtes(table, { changed: "plain as c", grace: "$1::float8" })},
  gone as (
    delete from ${table("flow_signals")} where id = any (array(select id from plain))
  )
  select 'job' as what, id, queue, name, attempt, state, gate from unblocked
  union all
  select distinct 'flow', flow_id, null, null, null::int, null, null::smallint from judged where not plain
  union all
  select 'count', null, null, null, count(*)::int, null, null from picked`,
  };
}
