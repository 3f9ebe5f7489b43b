import { LedgerSettingError } from "../errors.ts";
import { gateOfReturned } from "../gate.ts";
import type { Database, Row } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import {
  changed,
  type KeyPolicy,
  keyLimitsOf,
  type PolicyChange,
  policyColumns,
  policyOf,
  type QueueLimits,
  type QueuePolicy,
  rateColumns,
  samePolicy,
} from "./policy.ts";
import { lockTurn } from "./turn.ts";

/** A queue, a job name in it, or a key in it. */
export interface PauseScope {
  readonly job?: string;
  readonly key?: string;
}

export interface Policies {
  /** All governed queues. */
  list(): Promise<readonly QueueLimits[]>;
  /** `undefined`: the queue is direct. */
  get(queue: string): Promise<QueueLimits | undefined>;
  change(queue: string, change: PolicyChange<QueuePolicy>): Promise<QueueLimits>;
  /** The policy as code has it. Declared again unchanged, it leaves alone what was changed since. */
  declare(queue: string, policy: QueuePolicy): Promise<QueueLimits>;
  changeKey(queue: string, key: string, change: PolicyChange<KeyPolicy>): Promise<QueueLimits>;
  /** Removes all limits of the queue and its keys; what is paused stays paused. */
  clear(queue: string): Promise<void>;
  /** Nothing of the queue, the job name in it or the key in it starts from now on; what runs, runs on. */
  pause(queue: string, scope: PauseScope): Promise<void>;
  resume(queue: string, scope: PauseScope): Promise<void>;
}

/** So many keys of a queue may be paused at once: a search for what may go on steps over each of them. */
export const mostPausedKeys = 1_000;

export function createPolicies(database: Database, table: TableName): Policies {
  const sql = policySql(table);

  /** Changes what belongs to a queue, while no dispatcher releases jobs of it, and takes back what was released by the old policy. */
  async function underLock(queue: string, work: (run: RunSql) => Promise<boolean>): Promise<QueueLimits> {
    return database.transaction(async (run) => {
      await run(lockTurn(table).wait, [queue]);
      await run(sql.ensurePolicy, [queue]);
      await run(sql.ensureTurn, [queue]);
      if (await work(run)) {
        await run(sql.touch, [queue]);
        await run(sql.recall, [queue]);
      }
      const [limits] = await readAll(run, queue, true);
      if (limits === undefined) throw new LedgerSettingError(`the policy of ${queue} is gone`);
      return limits;
    });
  }

  async function readAll(run: RunSql, queue: string | null, all: boolean): Promise<readonly QueueLimits[]> {
    const policies = (await run(sql.policies, [queue])).rows.filter((row) => all || row["governed"] === true);
    const keys = Map.groupBy((await run(sql.keys, [queue])).rows, (row) => String(row["queue"]));
    return policies.map((row) => ({
      queue: String(row["queue"]),
      policy: policyOf(row),
      paused: row["paused"] === true,
      pausedJobs: row["paused_jobs"] as readonly string[],
      keys: (keys.get(String(row["queue"])) ?? []).map(keyLimitsOf),
      changedAt: row["changed_at"] as Date,
    }));
  }

  async function write(run: RunSql, queue: string, next: (row: Row) => QueuePolicy): Promise<boolean> {
    const row = (await run(sql.policies, [queue])).rows[0] ?? {};
    const before = policyOf(row);
    const after = next(row);
    if (samePolicy(before, after)) return false;
    await run(sql.write, [queue, ...policyColumns(after)]);
    // a bucket that did not count until now is full
    if (before.rate === undefined) await run(sql.forgetTokens, [queue]);
    if (before.keyRate === undefined) await run(sql.forgetKeyTokens, [queue]);
    return true;
  }

  async function setKeyPause(queue: string, key: string, paused: boolean): Promise<void> {
    await underLock(queue, async (run) => {
      const { rows } = await run(sql.pausedKeys, [queue, key]);
      if (paused && Number(rows[0]?.["count"]) >= mostPausedKeys) {
        throw new LedgerSettingError(`${mostPausedKeys} keys of ${queue} are paused; pause the queue or resume some`);
      }
      await run(sql.pauseKey, [queue, key, paused]);
      await run(sql.sweepKeys, [queue]);
      return true;
    });
  }

  async function setPause(queue: string, { job, key }: PauseScope, paused: boolean): Promise<void> {
    if (key !== undefined) return setKeyPause(queue, key, paused);
    await underLock(queue, async (run) => {
      if (job === undefined) await run(sql.pauseQueue, [queue, paused]);
      else await run(paused ? sql.pauseJob : sql.resumeJob, [queue, job]);
      return true;
    });
  }

  return {
    list: () => readAll(database.query, null, false),
    get: async (queue) => (await readAll(database.query, queue, false))[0],
    change: (queue, change) => underLock(queue, (run) => write(run, queue, (row) => changed(policyOf(row), change))),
    declare: (queue, policy) =>
      underLock(queue, async (run) => {
        const { rows } = await run(sql.declare, [queue, JSON.stringify(policy)]);
        // the same declaration as before: what people changed meanwhile stays
        return rows.length > 0 && (await write(run, queue, () => policy));
      }),
    changeKey: (queue, key, change) =>
      underLock(queue, async (run) => {
        const row = (await run(sql.key, [queue, key])).rows[0];
        const { concurrency, rate } = row === undefined ? {} : keyLimitsOf(row);
        const before = changed<KeyPolicy>({}, { concurrency: concurrency ?? null, rate: rate ?? null });
        const after = changed(before, change);
        if (samePolicy(before, after)) return false;
        await run(sql.writeKey, [queue, key, after.concurrency ?? null, ...rateColumns(after.rate)]);
        await run(sql.sweepKeys, [queue]);
        return true;
      }),
    clear: async (queue) => {
      await underLock(queue, async (run) => {
        await run(sql.clearKeys, [queue]);
        await run(sql.sweepKeys, [queue]);
        await write(run, queue, () => ({}));
        return true;
      });
    },
    pause: (queue, scope) => setPause(queue, scope, true),
    resume: (queue, scope) => setPause(queue, scope, false),
  };
}

/** Each runs under the queue's lock. Index: primary keys; what else is named. */
function policySql(table: TableName) {
  const policies = table("queue_policies");
  const keys = table("queue_key_policies");
  return {
    ensurePolicy: `insert into ${policies} (queue) values ($1) on conflict do nothing`,
    ensureTurn: `insert into ${table("queue_turns")} (queue) values ($1) on conflict do nothing`,
    policies: `select * from ${policies} where $1::text is null or queue = $1 order by queue`,
    keys: `select * from ${keys} where $1::text is null or queue = $1 order by queue, key`,
    key: `select * from ${keys} where queue = $1 and key = $2`,

    write: `update ${policies} set concurrency = $2, rate_limit = $3, rate_per_ms = $4, rate_burst = $5,
        key_concurrency = $6, key_rate_limit = $7, key_rate_per_ms = $8, key_rate_burst = $9,
        key_order = $10, fairness = $11, priority = $12,
        governed_at = case when governed then governed_at else clock_timestamp() end
      where queue = $1`,
    declare: `update ${policies} set declared = $2::text::jsonb
      where queue = $1 and declared is distinct from $2::text::jsonb returning queue`,
    forgetTokens: `with old as (delete from ${table("queue_starts")} where queue = $1)
      update ${table("queue_turns")} set tokens = null, tokens_at = null where queue = $1`,
    forgetKeyTokens: `delete from ${table("queue_buckets")} where queue = $1`,
    touch: `update ${policies} set changed_at = clock_timestamp() where queue = $1`,

    writeKey: `insert into ${keys} (queue, key, concurrency, rate_limit, rate_per_ms, rate_burst) values ($1, $2, $3, $4, $5, $6)
      on conflict (queue, key) do update set concurrency = excluded.concurrency, rate_limit = excluded.rate_limit,
        rate_per_ms = excluded.rate_per_ms, rate_burst = excluded.rate_burst`,
    clearKeys: `update ${keys} set concurrency = null, rate_limit = null, rate_per_ms = null, rate_burst = null where queue = $1`,
    // drops the rows that say nothing any more, and notes whether any are left
    sweepKeys: `with gone as (
        delete from ${keys} where queue = $1 and num_nonnulls(concurrency, rate_limit) = 0 and not paused
      )
      update ${policies} set keyed = exists (
          select from ${keys} where queue = $1 and (num_nonnulls(concurrency, rate_limit) > 0 or paused)
        ),
        governed_at = case when governed then governed_at else clock_timestamp() end
      where queue = $1`,
    pausedKeys: `select count(*) from ${keys} where queue = $1 and paused and key <> $2`,
    pauseKey: `insert into ${keys} (queue, key, paused) values ($1, $2, $3)
      on conflict (queue, key) do update set paused = excluded.paused`,
    pauseQueue: `update ${policies} set paused = $2,
        governed_at = case when governed then governed_at else clock_timestamp() end
      where queue = $1`,
    pauseJob: `update ${policies} set paused_jobs = array(select distinct unnest(paused_jobs || $2::text) order by 1),
        governed_at = case when governed then governed_at else clock_timestamp() end
      where queue = $1`,
    resumeJob: `update ${policies} set paused_jobs = array_remove(paused_jobs, $2::text) where queue = $1`,

    // Released and not started: back to wait for a release by the new policy, excused like a hold, so that a late `confirmSent` matches
    // no more. Waits for claims under way, in id order. Not when nothing governs the queue any more. Index: jobs_released.
    recall: `with back as (
        select id from ${table("jobs")} where queue = $1 and gate = 2 and state = 'ready'
          and exists (select from ${policies} where queue = $1 and governed)
        order by id for update
      )
      update ${table("jobs")} j
      set gate = ${gateOfReturned(table, "j.")}, sent_at = null, attempt = attempt + 1, excused = excused + 1
      where j.id = any (array(select id from back))`,
  } as const;
}
