import type { RunSql, TableName } from "../postgres/sql.ts";

type Transact = <T>(work: (run: RunSql) => Promise<T>) => Promise<T>;

/** Longer than any known sender retries: Adyen 30 days, Stripe and PayPal 3. */
export const dedupeRetentionDays = 35;

/** Rows one statement deletes at most, so that none runs long. */
const sweepLimit = 20_000;
const sweepRounds = 50;

/**
 * Forgets events that were accepted more than `retentionDays` ago, or as long ago as their source's own policy says: a request with
 * such a key is a new event again. Returns how many. Any number of processes may sweep at once.
 */
export async function sweepDedupe(
  transact: Transact,
  table: TableName,
  { retentionDays }: { readonly retentionDays: number },
): Promise<number> {
  const policies = await transact((run) =>
    run(`select source, retention_days from ${table("webhook_dedupe_policies")} order by source`, []),
  );
  let swept = await rounds(transact, defaultSweepSql(table), [retentionDays, sweepLimit]);
  for (const policy of policies.rows) {
    swept += await rounds(transact, sourceSweepSql(table), [policy["retention_days"], sweepLimit, policy["source"]]);
  }
  return swept;
}

async function rounds(transact: Transact, text: string, values: readonly unknown[]): Promise<number> {
  let swept = 0;
  for (let round = 0; round < sweepRounds; round += 1) {
    const { rows } = await transact(async (run) => {
      // block ranges can be read no other way
      await run("set local enable_bitmapscan = on", []);
      return run(text, values);
    });
    swept += rows.length;
    if (rows.length < sweepLimit) break;
  }
  return swept;
}

// Locks old keys in their order, as accepting does; skips those that another sweeper holds. Index: block ranges of created_at.
const defaultSweepSql = (table: TableName): string => `
  delete from ${table("webhook_dedupe")} d
  using (
    select source, key from ${table("webhook_dedupe")} k
    where created_at < clock_timestamp() - make_interval(days => $1)
      and not exists (select from ${table("webhook_dedupe_policies")} p where p.source = k.source)
    order by source, key limit $2 for update skip locked
  ) old
  where d.source = old.source and d.key = old.key
  returning 1`;

// The same of one source. Index: webhook_dedupe (source, key).
const sourceSweepSql = (table: TableName): string => `
  delete from ${table("webhook_dedupe")} d
  using (
    select source, key from ${table("webhook_dedupe")}
    where source = $3 and created_at < clock_timestamp() - make_interval(days => $1)
    order by source, key limit $2 for update skip locked
  ) old
  where d.source = old.source and d.key = old.key
  returning 1`;

/** Sets for how many days a source's keys are remembered (1 to 3650); `undefined`: as long as everybody's. */
export async function setDedupeDays(
  run: RunSql,
  table: TableName,
  { source, days }: { readonly source: string; readonly days: number | undefined },
): Promise<void> {
  if (days === undefined) {
    await run(`delete from ${table("webhook_dedupe_policies")} where source = $1`, [source]);
    return;
  }
  await run(
    `insert into ${table("webhook_dedupe_policies")} (source, retention_days) values ($1, $2)
     on conflict (source) do update set retention_days = excluded.retention_days, updated_at = statement_timestamp()`,
    [source, days],
  );
}
