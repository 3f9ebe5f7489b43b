import { dailyTables, dropDays, prepareDays } from "./daily-partitions.ts";
import type { RunSql, TableName } from "./sql.ts";
import { dayEndMs, type HistoryDay, historyDay } from "./uuid-bounds.ts";

/** Which days of history shall have a partition of their own, around today (UTC, the database's clock). */
export interface PartitionPlan {
  readonly daysBack: number;
  readonly daysAhead: number;
}

export interface Maintained {
  /** Partitions made. */
  readonly created: readonly string[];
  /** Partitions dropped. */
  readonly dropped: readonly string[];
  /** Jobs that outlived their partition in the default one, and were dropped there. */
  readonly lateDropped: number;
  readonly keysExpired: number;
  readonly cacheSwept: number;
}

const lockKey = "select pg_advisory_xact_lock(hashtextextended($1, 0))";
/** Rows a sweeping statement deletes at most; the rest waits for the next round. */
const sweepLimit = 20_000;

type Transact = <T>(work: (run: RunSql) => Promise<T>) => Promise<T>;

async function databaseNow(run: RunSql): Promise<number> {
  const { rows } = await run("select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now", []);
  return Number(rows[0]?.["now"]);
}

async function existingDays(run: RunSql, table: TableName): Promise<readonly string[]> {
  const { rows } = await run(
    `select c.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
     where i.inhparent = $1::regclass order by c.relname`,
    [table("jobs_history")],
  );
  return rows.map((row) => String(row["relname"])).filter((name) => dayEndMs(name) !== undefined);
}

/** Makes the missing partitions of a plan, in the transaction or session of `run`. */
export async function preparePartitions(
  run: RunSql,
  table: TableName,
  plan: PartitionPlan,
): Promise<readonly string[]> {
  const now = await databaseNow(run);
  const existing = new Set(await existingDays(run, table));
  const created: string[] = [];
  for (let shift = -plan.daysBack; shift <= plan.daysAhead; shift += 1) {
    const day = historyDay(now, shift);
    if (existing.has(day.table)) continue;
    await makeDay(run, table, day);
    created.push(day.table);
  }
  for (const daily of dailyTables) {
    created.push(...(await prepareDays(run, table, daily, { nowMs: now, ...plan })));
  }
  return created;
}

/**
 * Made apart and then attached, because the default partition may hold rows of that day already (nobody made it in time):
 * they move along. Attaching locks the parent against other schema changes only, and the default partition for a scan.
 * One statement block, so that it is whole even outside a transaction.
 */
async function makeDay(run: RunSql, table: TableName, day: HistoryDay): Promise<void> {
  await run(
    `do $make$ begin
       lock table ${table("jobs_history_default")} in access exclusive mode;
       create table ${table(day.table)} (like ${table("jobs_history")} including all);
       with moved as (
         delete from ${table("jobs_history_default")} where id >= '${day.from}' and id < '${day.to}' returning *
       )
       insert into ${table(day.table)} select * from moved;
       alter table ${table("jobs_history")} attach partition ${table(day.table)} for values from ('${day.from}') to ('${day.to}');
     end $make$`,
    [],
  );
}

/**
 * Drops a day once it is past retention by its ids. Jobs made that day that finished late are still owed their time: they move
 * to the default partition first.
 */
async function dropDay(run: RunSql, table: TableName, day: string, retentionDays: number): Promise<void> {
  await run("set local lock_timeout = '2s'", []);
  await run(`alter table ${table("jobs_history")} detach partition ${table(day)}`, []);
  await run(
    `insert into ${table("jobs_history")}
     select * from ${table(day)} where finished_at >= clock_timestamp() - make_interval(days => $1)`,
    [retentionDays],
  );
  await run(`drop table ${table(day)}`, []);
}

/** See `Ledger.maintainPartitions`. Several dispatchers may run it at once: a lock makes them take turns. */
export async function maintain(
  transact: Transact,
  table: TableName,
  policy: { readonly retentionDays: number; readonly daysAhead: number },
): Promise<Maintained> {
  const { retentionDays, daysAhead } = policy;
  const locked = <T>(work: (run: RunSql) => Promise<T>): Promise<T> =>
    transact(async (run) => {
      await run(lockKey, [`warren:maintain:${table("jobs_history")}`]);
      return work(run);
    });

  const created = await locked((run) => preparePartitions(run, table, { daysBack: 0, daysAhead }));
  const dropped: string[] = [];
  const pastRetention = await locked(async (run) => {
    const cutoff = (await databaseNow(run)) - retentionDays * 86_400_000;
    return (await existingDays(run, table)).filter((day) => (dayEndMs(day) ?? Number.POSITIVE_INFINITY) <= cutoff);
  });
  for (const day of pastRetention) {
    const isDropped = await locked(async (run) => {
      if (!(await existingDays(run, table)).includes(day)) return false;
      await dropDay(run, table, day, retentionDays);
      return true;
    });
    if (isDropped) dropped.push(day);
  }
  for (const daily of dailyTables) {
    const days = await locked(async (run) => {
      await run("set local lock_timeout = '2s'", []);
      return await dropDays(run, table, daily, (await databaseNow(run)) - retentionDays * 86_400_000);
    });
    dropped.push(...days);
  }
  const lateDropped = await count(transact, sweepLateSql(table), [retentionDays, sweepLimit]);
  const keysExpired = await count(transact, expireKeysSql(table), [retentionDays, sweepLimit]);
  const cacheSwept = await count(transact, sweepCacheSql(table), [sweepLimit]);
  await transact((run) =>
    run(`delete from ${table("workers")} where ended_at < clock_timestamp() - make_interval(days => $1)`, [
      retentionDays,
    ]),
  );
  return { created, dropped, lateDropped, keysExpired, cacheSwept };
}

async function count(transact: Transact, text: string, values: readonly unknown[]): Promise<number> {
  const { rows } = await transact((run) => run(text, values));
  return rows.length;
}

// Index: block ranges of finished_at. Nobody else writes to finished rows, so no order of locks is needed.
const sweepLateSql = (table: TableName): string => `
  delete from ${table("jobs_history_default")}
  where ctid = any (array(
    select ctid from ${table("jobs_history_default")}
    where finished_at < clock_timestamp() - make_interval(days => $1) limit $2
  ))
  returning 1`;

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
