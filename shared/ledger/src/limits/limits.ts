import { onItsWay } from "../gate.ts";
import type { FinishedState } from "../job.ts";
import type { Database } from "../postgres/database.ts";
import type { retrying } from "../postgres/retrying.ts";
import type { TableName } from "../postgres/sql.ts";
import { createPolicies, type Policies } from "./policies.ts";
import { createTurns, type Round, type WaitingQueue } from "./turns.ts";

export type PriorityChanged =
  | { readonly kind: "changed" }
  /** On its way to a worker, or running: too late. */
  | { readonly kind: "under_way" }
  | { readonly kind: "finished"; readonly state: FinishedState }
  | { readonly kind: "missing" };

/** A governed queue as gauges show it. */
export interface WaitingLine {
  readonly queue: string;
  /** Jobs that wait for their release; counting stops at the `most` that was asked for. */
  readonly jobs: number;
  /** For how long the one has been due that has been due the longest. */
  readonly oldestMs: number;
  /** Jobs that were released and are not finished. */
  readonly released: number;
}

/**
 * Policies of queues, and the release of their jobs. A queue with a policy is governed: its jobs wait in the ledger until a dispatcher
 * releases them. All limits are global, and a change holds for every job that has not started when it is made.
 */
export interface Limits extends Policies {
  changePriority(id: string, priority: number): Promise<PriorityChanged>;

  /** Governed queues, and others in which jobs still wait for their release. Reads one index entry a queue. */
  waiting(): Promise<readonly WaitingQueue[]>;
  /** Releases what the policy lets go now, at most `limit` jobs. */
  release(request: { readonly queue: string; readonly limit: number }): Promise<Round>;
  /** Lets jobs go that wait in a queue that is governed no more. */
  free(request: { readonly queue: string; readonly limit: number }): ReturnType<ReturnType<typeof createTurns>["free"]>;
  /** Released jobs that nobody has published in time, to be published by the caller within 10 s. */
  overdue(request: { readonly limit: number }): ReturnType<ReturnType<typeof createTurns>["free"]>;
  /** For gauges. */
  lines(most: number): Promise<readonly WaitingLine[]>;
  /** Forgets the buckets of keys that are full again. Returns how many. */
  sweep(): Promise<number>;
}

export interface LimitsOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly again: ReturnType<typeof retrying>;
}

export function createLimits({ database, table, again: { repeatable, undone } }: LimitsOptions): Limits {
  const policies = createPolicies(database, table);
  const turns = createTurns(database, table);
  const jobs = table("jobs");

  // Locks one job, waiting for a claim under way. Index: primary keys.
  const reprioritise = {
    name: "warren_change_priority",
    text: `update ${jobs} set priority = $2 where id = $1 and state <> 'running'
      and (state <> 'ready' or held_by is not null or not ${onItsWay("")}) returning id`,
  };
  const look = {
    name: "warren_priority_look",
    text: `select null as state from ${jobs} where id = $1
      union all select state from ${table("jobs_history")} where id = $1`,
  };
  // Counts up to $1 entries a queue, and hops over its levels of priority. Index: jobs_waiting, jobs_released.
  const lineUp = {
    name: "warren_waiting_lines",
    text: `select q.queue, w.jobs, l.oldest_ms, r.released
      from ${table("queue_policies")} q
      cross join lateral (
        select count(*)::int as jobs from (
          select from ${jobs} where queue = q.queue and state = 'ready' and held_by is null and gate in (1, 3) limit $1
        ) counted
      ) w
      cross join lateral (
        with recursive levels (level, run_at, hops) as (
          (select (-priority), run_at, 0 from ${jobs}
            where queue = q.queue and state = 'ready' and held_by is null and gate in (1, 3)
            order by (-priority), run_at limit 1)
          union all
          select n.level, n.run_at, hops + 1 from levels cross join lateral (
            select (-priority) as level, run_at from ${jobs}
            where queue = q.queue and state = 'ready' and held_by is null and gate in (1, 3) and (-priority) > levels.level
            order by (-priority), run_at limit 1
          ) n
          where hops < 100
        )
        select extract(epoch from clock_timestamp() - min(run_at))::float8 * 1000 as oldest_ms from levels
      ) l
      cross join lateral (select count(*)::int as released from ${jobs} where queue = q.queue and gate = 2) r
      where q.governed
      order by q.queue`,
  };

  return {
    list: () => repeatable(() => policies.list()),
    get: (queue) => repeatable(() => policies.get(queue)),
    change: (queue, change) => repeatable(() => policies.change(queue, change)),
    declare: (queue, policy) => repeatable(() => policies.declare(queue, policy)),
    changeKey: (queue, key, change) => repeatable(() => policies.changeKey(queue, key, change)),
    clear: (queue) => repeatable(() => policies.clear(queue)),
    pause: (queue, scope) => repeatable(() => policies.pause(queue, scope)),
    resume: (queue, scope) => repeatable(() => policies.resume(queue, scope)),
    changePriority: (id, priority) =>
      repeatable(async () => {
        if ((await database.run(reprioritise, [id, priority])).length > 0) return { kind: "changed" };
        const [row] = await database.run(look, [id]);
        if (row === undefined) return { kind: "missing" };
        return row["state"] === null
          ? { kind: "under_way" }
          : { kind: "finished", state: row["state"] as FinishedState };
      }),

    waiting: () => repeatable(() => turns.waiting()),
    release: (request) => undone(() => turns.release(request)),
    free: (request) => undone(() => turns.free(request)),
    overdue: (request) => undone(() => turns.overdue(request)),
    lines: async (most) =>
      (await repeatable(() => database.run(lineUp, [most]))).map((row) => ({
        queue: String(row["queue"]),
        jobs: Number(row["jobs"]),
        oldestMs: Math.max(0, Number(row["oldest_ms"] ?? 0)),
        released: Number(row["released"]),
      })),
    sweep: async () => {
      const { rows } = await database.query(
        `with gone as (delete from ${table("queue_buckets")} where full_at < clock_timestamp() returning key)
         select count(*)::int as gone from gone`,
        [],
      );
      return Number(rows[0]?.["gone"]);
    },
  };
}
