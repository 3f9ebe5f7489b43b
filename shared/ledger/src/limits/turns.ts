import { LedgerUnavailableError } from "../errors.ts";
import type { SendableJob } from "../job.ts";
import type { Database, Row, RunPrepared } from "../postgres/database.ts";
import type { TableName } from "../postgres/sql.ts";
import { sendable } from "../release.ts";
import type { Shape } from "./choose-sql.ts";
import { policyOf, type QueuePolicy } from "./policy.ts";
import { type Room, roomOf } from "./room.ts";
import { turnsSql } from "./turns-sql.ts";

/** A queue that is governed, or in which jobs wait for their release. */
export interface WaitingQueue {
  readonly queue: string;
  /** `false`: its policy is gone, and whatever waits may go. */
  readonly governed: boolean;
  readonly waits: boolean;
  readonly paused: boolean;
}

/** What one look at a queue has come to. */
export interface Round {
  /** Released: to be published by the caller within 10 s, in this order. */
  readonly jobs: readonly SendableJob[];
  /**
   * `more`: look again at once. `filled`: all that may go now has gone. `blocked`: jobs wait for limits or workers. `taken`: another
   * dispatcher has this queue's turn.
   */
  readonly outcome: "more" | "filled" | "blocked" | "taken";
  /** When another look is worth it, where that is known: a token comes, or workers will have used half of what they have. */
  readonly nextMs: number | undefined;
}

export interface Turns {
  waiting(): Promise<readonly WaitingQueue[]>;
  release(request: { readonly queue: string; readonly limit: number }): Promise<Round>;
  free(request: { readonly queue: string; readonly limit: number }): Promise<readonly SendableJob[]>;
  overdue(request: { readonly limit: number }): Promise<readonly SendableJob[]>;
}

/** Keys that one search may step over. */
const mostHops = 4_000;
/** A claim that began before a policy may still start its jobs; they are counted from the second look on, and nothing goes before. */
const settlingMs = 250;
/** No claim takes longer than the ledger's statement timeout. */
const adoptingMs = 20_000;
/** Somebody holds a waiting job for longer than a round may wait. */
const isLockTimeout = (error: unknown): boolean =>
  error instanceof LedgerUnavailableError && error.details["sqlState"] === "55P03";

/** Before all levels of priority: the search begins with the first. */
const fromTheTop = { level: -(2 ** 31), key: "", phase: 3 } as const;

export function createTurns(database: Database, table: TableName): Turns {
  const sql = turnsSql(table);

  async function prepareRound(run: RunPrepared, queue: string): Promise<Row | undefined> {
    const [turn] = await run(sql.attempt, [queue]);
    if (turn?.["mine"] !== true) return undefined;
    return (await run(sql.look, [queue]))[0];
  }

  async function round(run: RunPrepared, queue: string, limit: number, patient: boolean): Promise<Round> {
    const seen = await prepareRound(run, queue);
    if (seen === undefined) return { jobs: [], outcome: "taken", nextMs: undefined };
    const sinceMs = Number(seen["now_ms"]) - Number(seen["governed_at_ms"]);
    if (seen["governed"] !== true || seen["paused"] === true)
      return { jobs: [], outcome: "blocked", nextMs: undefined };
    const policy = policyOf(seen);
    if (countsRunning(policy, seen)) {
      if (sinceMs < adoptingMs) await run(sql.adopt, [queue]);
      if (sinceMs < settlingMs) return { jobs: [], outcome: "blocked", nextMs: settlingMs - sinceMs };
    }
    const shape = shapeOf(policy, seen, patient);
    if (seen["set_aside"] === true) await run(sql.restore, [queue, shape.strict, seen["paused_jobs"]]);
    const starts = seen["watched"] === true ? await startsOf(run, queue, policy) : [];
    const room = roomOf(sightOf(seen, policy, starts));
    const wanted = Math.min(limit, room.jobs);
    if (wanted === 0 && starts.length === 0 && Number(seen["outstanding"]) === Number(seen["released"])) {
      return { jobs: [], outcome: "blocked", nextMs: room.nextTokenMs };
    }
    const chosen =
      wanted === 0 ? undefined : (await run(sql.choose(shape), valuesOf(queue, wanted, policy, seen, shape)))[0];
    const jobs = jobsOf(chosen, queue);
    const resumes = chosen !== undefined && Number(chosen["hops"]) >= mostHops && Number(chosen["found"]) < wanted;
    await run(sql.keep, [queue, ...keptOf(seen, room, jobs.length, chosen, resumes)]);
    return {
      jobs,
      outcome: outcomeOf(jobs.length, wanted, limit, chosen, resumes),
      nextMs: nextOf(room, chosen, jobs.length > 0 && (jobs.length === room.jobs || shape.counted || shape.strict)),
    };
  }

  async function startsOf(run: RunPrepared, queue: string, { keyRate }: QueuePolicy) {
    const perMs = keyRate === undefined ? null : keyRate.limit / keyRate.perMs;
    const rows = await run(sql.starts, [queue, perMs, keyRate?.burst ?? null]);
    return rows.map((row) => ({ count: Number(row["starts"]), atMs: Number(row["at_ms"]) }));
  }

  return {
    waiting: async () =>
      (await database.run(sql.waiting, [])).map((row) => ({
        queue: String(row["queue"]),
        governed: row["governed"] === true,
        waits: row["waits"] === true,
        paused: row["paused"] === true,
      })),
    release: async ({ queue, limit }) => {
      try {
        return await database.preparedTransaction((run) => round(run, queue, limit, false));
      } catch (error) {
        if (!isLockTimeout(error)) throw error;
        return database.preparedTransaction((run) => round(run, queue, limit, true));
      }
    },
    free: async ({ queue, limit }) => (await database.run(sql.free, [queue, limit])).map(sendable),
    overdue: async ({ limit }) => (await database.run(sql.overdue, [limit])).map(sendable),
  };
}

/** Whether it matters what ran before the queue was governed. */
function countsRunning({ concurrency, keyConcurrency, order }: QueuePolicy, seen: Row): boolean {
  const counts = concurrency !== undefined || keyConcurrency !== undefined || order === "strict";
  return counts || seen["limited_keys"] === true;
}

function shapeOf(policy: QueuePolicy, seen: Row, patient: boolean): Shape {
  const keyed = seen["keyed"] === true;
  const strict = policy.order === "strict";
  const counted = policy.keyConcurrency !== undefined || policy.keyRate !== undefined || seen["limited_keys"] === true;
  return {
    turns: strict || counted || policy.fairness === true,
    strict,
    counted,
    keyed,
    names: (seen["paused_jobs"] as readonly string[]).length > 0,
    patient,
  };
}

function sightOf(seen: Row, policy: QueuePolicy, starts: Parameters<typeof roomOf>[0]["starts"]) {
  return {
    nowMs: Number(seen["now_ms"]),
    concurrency: policy.concurrency,
    rate: policy.rate,
    places: Number(seen["places"]),
    released: Number(seen["released"]),
    unstarted: Number(seen["unstarted"]),
    bucket:
      seen["tokens"] === null ? undefined : { tokens: Number(seen["tokens"]), atMs: Number(seen["tokens_at_ms"]) },
    starts,
    outstanding: Number(seen["outstanding"]),
    lookedAtMs: seen["looked_at_ms"] === null ? undefined : Number(seen["looked_at_ms"]),
    flow: Number(seen["flow"]),
  };
}

function valuesOf(queue: string, wanted: number, policy: QueuePolicy, seen: Row, shape: Shape): readonly unknown[] {
  const names = seen["paused_jobs"];
  if (!shape.turns) return [queue, wanted, names];
  const { keyConcurrency = null, keyRate } = policy;
  const resumed = seen["resume_level"] !== null;
  return [
    queue,
    wanted,
    mostHops,
    seen["turn"] ?? "",
    resumed ? seen["resume_level"] : fromTheTop.level,
    resumed ? seen["resume_key"] : fromTheTop.key,
    resumed ? seen["resume_phase"] : fromTheTop.phase,
    keyConcurrency,
    keyRate === undefined ? null : keyRate.limit / keyRate.perMs,
    keyRate?.burst ?? null,
    names,
  ];
}

function jobsOf(chosen: Row | undefined, queue: string): readonly SendableJob[] {
  const jobs = (chosen?.["jobs"] ?? []) as readonly (readonly [string, string, number])[];
  return jobs.map(([id, name, attempt]) => ({ id, queue, name, attempt }));
}

function keptOf(seen: Row, { bucket, flow }: Room, jobs: number, chosen: Row | undefined, resumes: boolean) {
  return [
    bucket?.tokens ?? null,
    bucket?.atMs ?? null,
    Number(seen["released"]) + jobs,
    seen["now_ms"],
    flow,
    chosen?.["turn"] ?? null,
    resumes ? chosen?.["level"] : null,
    resumes ? chosen?.["key"] : null,
    resumes ? chosen?.["phase"] : null,
  ];
}

function outcomeOf(
  jobs: number,
  wanted: number,
  limit: number,
  chosen: Row | undefined,
  resumes: boolean,
): Round["outcome"] {
  if (resumes || Number(chosen?.["aside"] ?? 0) > 0 || (jobs > 0 && jobs === limit)) return "more";
  return jobs > 0 && wanted > 0 ? "filled" : "blocked";
}

/** `more`: jobs may be waiting for room, which each job that finishes makes. Else the line is empty. */
function nextOf({ nextTokenMs, usedMs }: Room, chosen: Row | undefined, more: boolean): number | undefined {
  const keyMs = chosen?.["wait_ms"];
  return nextTokenMs ?? (typeof keyMs === "number" ? keyMs : more ? (usedMs ?? 2) : undefined);
}
