import type { Database, Row, RunPrepared } from "../database.ts";
import { LedgerUnavailableError } from "../errors.ts";
import { keyOf, waiting } from "../gate.ts";
import type { SendableJob } from "../job.ts";
import { sendable, sendLease } from "../release.ts";
import type { Statement, TableName } from "../sql.ts";
import { chooseStatement, type Shape } from "./choose-sql.ts";
import { policyOf, type QueuePolicy } from "./policy.ts";
import { type Room, roomOf } from "./room.ts";
import { takeStarts } from "./starts-sql.ts";
import { lockTurn } from "./turn.ts";

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

const milliseconds = (column: string): string => `extract(epoch from ${column})::float8 * 1000`;

function turnsSql(table: TableName) {
  const jobs = table("jobs");
  const policies = table("queue_policies");
  const hop = (name: string, where: string): string => `${name} as (
      (select queue from ${jobs} where ${where} order by queue limit 1)
      union all
      select next.queue from ${name} cross join lateral (
        select queue from ${jobs} where ${where} and queue > ${name}.queue order by queue limit 1
      ) next
    )`;
  const choices = new Map<string, Statement>();

  return {
    // One index entry a queue. Index: jobs_waiting (queue), jobs_set_aside (queue).
    waiting: {
      name: "warren_waiting_queues",
      text: `with recursive ${hop("lined", waiting(""))}, ${hop("aside", "gate = 4")}
        select queue, coalesce(p.governed, false) as governed, q.queue is not null as waits, coalesce(p.paused, false) as paused
        from (select queue from lined union select queue from aside) q
        full join (select queue, governed, paused from ${policies} where governed) p using (queue)
        order by queue`,
    },

    attempt: { name: "warren_turn", text: lockTurn(table).attempt },

    // Under the lock, and after it was got: a snapshot from before might not see what the last holder released. A release that is lost
    // in a crash has left nothing behind but a message that no claim honours, so its commit need not wait for the disk.
    // Index: jobs_released; the small tables of policies and workers.
    look: {
      name: "warren_turn_look",
      text: `select p.*, t.tokens, ${milliseconds("t.tokens_at")} as tokens_at_ms, t.outstanding, ${milliseconds("t.looked_at")} as looked_at_ms,
        t.flow, t.turn, t.resume_level, t.resume_key, t.resume_phase,
        ${milliseconds("clock_timestamp()")} as now_ms, ${milliseconds("p.governed_at")} as governed_at_ms,
        (select coalesce(sum(w.concurrency), 0) from ${table("workers")} w where w.ended_at is null and $1 = any (w.queues)) as places,
        exists (select from ${jobs} where queue = $1 and gate = 4) as set_aside,
        p.keyed and exists (
          select from ${table("queue_key_policies")} where queue = $1 and num_nonnulls(concurrency, rate_limit) > 0
        ) as limited_keys,
        r.released, r.unstarted, set_config('synchronous_commit', 'off', true) as unwaited,
        set_config('lock_timeout', '100ms', true) as hurried
      from ${policies} p join ${table("queue_turns")} t on t.queue = p.queue
      cross join (
        select count(*) as released, count(*) filter (where state = 'ready') as unstarted
        from ${jobs} where queue = $1 and gate = 2
      ) r
      where p.queue = $1`,
    },

    // Jobs that ran when their queue became governed count from now on. Index: jobs_running (worker_id).
    adopt: {
      name: "warren_turn_adopt",
      text: `update ${jobs} set gate = 2
      where worker_id = any (array(select id from ${table("workers")} where ended_at is null))
        and state = 'running' and queue = $1 and gate = 0`,
    },

    starts: takeStarts(table),

    // What was set aside and is paused no more goes back in line, hopping over what still is. With $2 everything that has a key goes:
    // where order is strict a paused job keeps its key waiting. Index: jobs_set_aside (queue, name, key), queue_key_policies.
    restore: { name: "warren_turn_restore", text: restoreSql(table) },

    choose: (shape: Shape): Statement => {
      const name = JSON.stringify(shape);
      const known = choices.get(name) ?? chooseStatement(table, shape);
      choices.set(name, known);
      return known;
    },

    keep: {
      name: "warren_turn_keep",
      text: `update ${table("queue_turns")} set tokens = $2, tokens_at = to_timestamp($3::float8 / 1000), outstanding = $4,
        looked_at = to_timestamp($5::float8 / 1000), flow = $6, turn = coalesce($7, turn),
        resume_level = $8, resume_key = $9, resume_phase = $10
      where queue = $1`,
    },

    // All released jobs, which are few. Locked rows are another's. Index: jobs_released.
    overdue: {
      name: "warren_overdue",
      text: `with picked as (
          select id from ${jobs}
          where gate = 2 and state = 'ready' and held_by is null and sent_at is null and send_after <= statement_timestamp()
          order by queue limit $1 for update skip locked
        )
        update ${jobs} j set send_after = clock_timestamp() + ${sendLease}
        where j.id = any (array(select id from picked))
        returning j.id, j.queue, j.name, j.attempt`,
    },

    // For queues without a policy: everything may go. Index: jobs_waiting, jobs_set_aside.
    free: {
      name: "warren_free",
      text: `with lined as (
          select id from ${jobs} where queue = $1 and ${waiting("")} order by (-priority), run_at, id limit $2
          for update skip locked
        ),
        aside as (
          select id from ${jobs} where queue = $1 and gate = 4 limit $2 for update skip locked
        )
        update ${jobs} j set gate = 0, sent_at = null, send_after = clock_timestamp() + ${sendLease}
        where j.id = any (array(select id from lined union all select id from aside))
          and not exists (select from ${policies} p where p.queue = $1 and p.governed)
        returning j.id, j.queue, j.name, j.attempt`,
    },
  } as const;
}

function restoreSql(table: TableName): string {
  const key = keyOf("j.");
  const aside = `from ${table("jobs")} j where j.queue = $1 and j.gate = 4`;
  const isNamePaused = "r.name = any ($3::text[])";
  const isKept = "($2::boolean and r.key <> '')";
  return `with recursive pairs (name, key, hops) as (
    (select j.name, ${key}, 0 ${aside} order by j.name, ${key} limit 1)
    union all
    select n.name, n.key, r.hops + 1
    from pairs r cross join lateral (
      (select j.name, ${key} as key ${aside} and j.name = r.name and ${key} > r.key and ($2::boolean or not ${isNamePaused})
        order by j.name, ${key} limit 1)
      union all
      (select j.name, ${key} ${aside} and j.name > r.name order by j.name, ${key} limit 1)
      limit 1
    ) n
    where r.hops < 5000
  ),
  back as (
    select j.id from pairs r cross join lateral (
      select j.id ${aside} and j.name = r.name and ${key} = r.key limit 1000
    ) j
    where (${isKept} or not ${isNamePaused}) and (${isKept} or not exists (
      select from ${table("queue_key_policies")} k where k.queue = $1 and k.key = r.key and k.paused
    ))
    limit 2000
  )
  update ${table("jobs")} set gate = 1 where id = any (array(select id from back))`;
}
