import { LedgerUnavailableError } from "./errors.ts";
import { forgetOldSql } from "./flows/forget.ts";
import type { RunSql, TableName } from "./postgres/sql.ts";
import { dayEndMs, type HistoryDay, historyDay } from "./uuid-bounds.ts";
import { dedupeRetentionDays, sweepDedupe } from "./webhooks/dedupe.ts";
import { summarizeRequests, sweepRequestRecords } from "./webhooks/upkeep.ts";

/** A table that is partitioned by the days of a UUIDv7 column, with a default partition `<name>_default`. */
interface DailyTable {
  readonly name: string;
  /** The UUIDv7 column. */
  readonly id: string;
  /** Rows are kept until this time is past retention, even when the day of their id was dropped before. */
  readonly keptFrom: string;
  /** Storage parameters of each partition; `like` does not carry them. */
  readonly storage?: string;
}

const dailyTables: readonly DailyTable[] = [
  { name: "jobs_history", id: "id", keptFrom: "finished_at" },
  { name: "webhook_requests", id: "id", keptFrom: "received_at", storage: "toast_tuple_target = 8160" },
  { name: "job_progress", id: "job_id", keptFrom: "updated_at", storage: "fillfactor = 70" },
  { name: "job_lines", id: "job_id", keptFrom: "at" },
  { name: "deliveries", id: "job_id", keptFrom: "started_at", storage: "fillfactor = 80" },
  { name: "webhook_deliveries", id: "id", keptFrom: "updated_at", storage: "fillfactor = 80" },
  { name: "webhook_attempts", id: "delivery_id", keptFrom: "started_at", storage: "fillfactor = 80" },
];

/** Which days shall have a partition of their own, around today (UTC, the database's clock). */
export interface PartitionPlan {
  readonly daysBack: number;
  readonly daysAhead: number;
}

/** For how long what is over is kept, in days. */
export interface RetentionPolicy {
  /** Finished jobs and what belongs to them. */
  readonly retentionDays: number;
  /** Raw webhook requests. Default: as long as jobs. */
  readonly requestRetentionDays?: number;
  /** Dedupe keys of webhooks, unless their source has its own. Default 35, or as long as requests. */
  readonly dedupeDays?: number;
}

export interface Maintained {
  /** Partitions made. */
  readonly created: readonly string[];
  /** Partitions dropped. */
  readonly dropped: readonly string[];
  /** Partitions that were busy and are left for the next round. */
  readonly postponed: readonly string[];
  /** Rows that outlived their partition in a default one, and were dropped there. */
  readonly lateDropped: number;
  readonly keysExpired: number;
  readonly dedupeKeysExpired: number;
  readonly cacheSwept: number;
  readonly flowsForgotten: number;
}

const lockKey = "select pg_advisory_xact_lock(hashtextextended($1, 0))";
/** Rows a sweeping statement deletes at most; the rest waits for the next round. */
const sweepLimit = 20_000;
/** Each may have thousands of jobs. */
const flowSweepLimit = 1_000;

type Transact = <T>(work: (run: RunSql) => Promise<T>) => Promise<T>;

async function databaseNow(run: RunSql): Promise<number> {
  const { rows } = await run("select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now", []);
  return Number(rows[0]?.["now"]);
}

async function existingDays(run: RunSql, table: TableName, { name }: DailyTable): Promise<readonly string[]> {
  const { rows } = await run(
    `select c.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
     where i.inhparent = $1::regclass order by c.relname`,
    [table(name)],
  );
  return rows.map((row) => String(row["relname"])).filter((day) => dayEndMs(name, day) !== undefined);
}

/** Makes the missing partitions of a plan, in the transaction or session of `run`. */
export async function preparePartitions(
  run: RunSql,
  table: TableName,
  plan: PartitionPlan,
): Promise<readonly string[]> {
  const now = await databaseNow(run);
  const created: string[] = [];
  for (const daily of dailyTables) {
    const existing = new Set(await existingDays(run, table, daily));
    for (let shift = -plan.daysBack; shift <= plan.daysAhead; shift += 1) {
      const day = historyDay(daily.name, now, shift);
      if (existing.has(day.table)) continue;
      await makeDay(run, table, daily, day);
      created.push(day.table);
    }
  }
  return created;
}

/**
 * Made apart and then attached, because the default partition may hold rows of that day already (nobody made it in time):
 * they move along. Attaching locks the parent against other schema changes only, and the default partition for a scan.
 * One statement block, so that it is whole even outside a transaction.
 */
async function makeDay(
  run: RunSql,
  table: TableName,
  { name, id, storage }: DailyTable,
  { table: day, from, to }: HistoryDay,
): Promise<void> {
  const spare = table(`${name}_default`);
  await run(
    `do $make$ begin
       lock table ${spare} in access exclusive mode;
       create table ${table(day)} (like ${table(name)} including all) ${storage === undefined ? "" : `with (${storage})`};
       with moved as (delete from ${spare} where ${id} >= '${from}' and ${id} < '${to}' returning *)
       insert into ${table(day)} select * from moved;
       alter table ${table(name)} attach partition ${table(day)} for values from ('${from}') to ('${to}');
     end $make$`,
    [],
  );
}

/**
 * Drops a day once it is past retention by its ids. Rows of that day that ended late are still owed their time: they move to
 * the default partition first.
 */
async function dropDay(
  run: RunSql,
  table: TableName,
  { name, keptFrom }: DailyTable,
  { day, retentionDays }: { readonly day: string; readonly retentionDays: number },
): Promise<void> {
  // Detaching stops everybody who reads or writes the table: better to try again later than to queue them up behind it.
  await run("set local lock_timeout = '2s'", []);
  await run(`alter table ${table(name)} detach partition ${table(day)}`, []);
  await run(
    `insert into ${table(name)}
     select * from ${table(day)} where ${keptFrom} >= clock_timestamp() - make_interval(days => $1)`,
    [retentionDays],
  );
  await run(`drop table ${table(day)}`, []);
}

/** See `Ledger.maintainPartitions`. Several dispatchers may run it at once: a lock makes them take turns. */
export async function maintain(
  transact: Transact,
  table: TableName,
  policy: RetentionPolicy & { readonly daysAhead: number },
): Promise<Maintained> {
  const { retentionDays, daysAhead } = policy;
  const { requestRetentionDays = retentionDays } = policy;
  const { dedupeDays = Math.max(requestRetentionDays, dedupeRetentionDays) } = policy;
  const locked: Transact = (work) =>
    transact(async (run) => {
      await run(lockKey, [`warren:maintain:${table("jobs_history")}`]);
      return work(run);
    });

  const created = await locked((run) => preparePartitions(run, table, { daysBack: 0, daysAhead }));
  const dropped: string[] = [];
  const postponed: string[] = [];
  let lateDropped = 0;
  for (const daily of dailyTables) {
    const keptDays = daily.name === "webhook_requests" ? requestRetentionDays : retentionDays;
    for (const day of await pastRetention(transact, table, daily, keptDays)) {
      try {
        const isDropped = await locked(async (run) => {
          if (!(await existingDays(run, table, daily)).includes(day)) return false;
          await dropDay(run, table, daily, { day, retentionDays: keptDays });
          return true;
        });
        if (isDropped) dropped.push(day);
      } catch (error) {
        if (!(error instanceof LedgerUnavailableError && error.details["sqlState"] === "55P03")) throw error;
        postponed.push(day);
      }
    }
    lateDropped += await count(transact, sweepLateSql(table, daily), [keptDays, sweepLimit]);
  }
  const keysExpired = await count(transact, expireKeysSql(table), [retentionDays, sweepLimit]);
  const dedupeKeysExpired = await sweepDedupe(transact, table, { retentionDays: dedupeDays });
  await sweepRequestRecords(transact, table, { retentionDays: Math.max(requestRetentionDays, retentionDays) });
  await summarizeRequests(transact, table);
  const cacheSwept = await count(transact, sweepCacheSql(table), [sweepLimit]);
  await count(transact, sweepWorkersSql(table), [retentionDays]);
  await count(transact, sweepUniqueSql(table), [sweepLimit]);
  const flowsForgotten = await count(transact, forgetOldSql(table), [retentionDays, flowSweepLimit]);
  return { created, dropped, postponed, lateDropped, keysExpired, dedupeKeysExpired, cacheSwept, flowsForgotten };
}

async function pastRetention(
  transact: Transact,
  table: TableName,
  daily: DailyTable,
  retentionDays: number,
): Promise<readonly string[]> {
  return transact(async (run) => {
    const cutoff = (await databaseNow(run)) - retentionDays * 86_400_000;
    const days = await existingDays(run, table, daily);
    return days.filter((day) => (dayEndMs(daily.name, day) ?? Number.POSITIVE_INFINITY) <= cutoff);
  });
}

async function count(transact: Transact, text: string, values: readonly unknown[]): Promise<number> {
  const { rows } = await transact((run) => run(text, values));
  return rows.length;
}

// Nobody else writes to rows this old, so no order of locks is needed. Jobs: block ranges of finished_at.
const sweepLateSql = (table: TableName, { name, keptFrom }: DailyTable): string => `
  delete from ${table(`${name}_default`)}
  where ctid = any (array(
    select ctid from ${table(`${name}_default`)}
    where ${keptFrom} < clock_timestamp() - make_interval(days => $1) limit $2
  ))
  returning 1`;

const sweepWorkersSql = (table: TableName): string => `
  delete from ${table("workers")} where ended_at < clock_timestamp() - make_interval(days => $1) returning 1`;

// A key lives as long as its job is unfinished, and then as long as history. Locks keys in their order.
const expireKeysSql = (table: TableName): string => `
  delete from ${table("job_keys")} k
  using (
    select name, key from ${table("job_keys")} old
    where created_at < clock_timestamp() - make_interval(days => $1)
      and not exists (select from ${table("jobs")} j where j.id = old.job_id)
      and not exists (
        select from ${table("jobs_history")} h
        where h.id = old.job_id and h.finished_at >= clock_timestamp() - make_interval(days => $1)
      )
    order by name, key limit $2 for update skip locked
  ) expired
  where k.name = expired.name and k.key = expired.key
  returning 1`;

const sweepCacheSql = (table: TableName): string => `
  delete from ${table("cache")}
  where key = any (array(
    select key from ${table("cache")} where expires_at <= clock_timestamp() order by expires_at limit $1 for update skip locked
  ))
  returning 1`;

// Index: unique_keys_expiry (expires_at). An enqueue that holds the lock forgets it itself.
const sweepUniqueSql = (table: TableName): string => `with swept as (
    select name, key from ${table("unique_keys")} where expires_at <= clock_timestamp()
    order by expires_at limit $1 for update skip locked
  )
  delete from ${table("unique_keys")} k using swept s where k.name = s.name and k.key = s.key returning 1`;
