import type { RunSql, TableName } from "../sql.ts";

type Transact = <T>(work: (run: RunSql) => Promise<T>) => Promise<T>;

/** Longer than any known sender retries: Adyen 30 days, Stripe and PayPal 3. */
export const dedupeRetentionDays = 35;

/** Rows one statement deletes at most, so that none runs long. */
const sweepLimit = 20_000;
const sweepRounds = 50;

/**
 * Forgets events that were accepted more than `retentionDays` ago: a request with such a key is a new event again.
 * Returns how many. Any number of processes may sweep at once.
 */
export async function sweepDedupe(
  transact: Transact,
  table: TableName,
  policy: { readonly retentionDays: number },
): Promise<number> {
  let swept = 0;
  for (let round = 0; round < sweepRounds; round += 1) {
    const { rows } = await transact((run) => run(sweepSql(table), [policy.retentionDays, sweepLimit]));
    swept += rows.length;
    if (rows.length < sweepLimit) break;
  }
  return swept;
}

// Locks old keys in their order, as accepting does; skips those that another sweeper holds. Index: block ranges of created_at.
const sweepSql = (table: TableName): string => `
  delete from ${table("webhook_dedupe")} d
  using (
    select source, key from ${table("webhook_dedupe")}
    where created_at < clock_timestamp() - make_interval(days => $1)
    order by source, key limit $2 for update skip locked
  ) old
  where d.source = old.source and d.key = old.key
  returning 1`;
