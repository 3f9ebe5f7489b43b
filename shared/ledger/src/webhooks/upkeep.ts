import { LedgerUnavailableError } from "../errors.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";

type Transact = <T>(work: (run: RunSql) => Promise<T>) => Promise<T>;

const sweepLimit = 20_000;

/** Forgets what people had done to events, and replays that have ended, once they are past retention. */
export async function sweepRequestRecords(
  transact: Transact,
  table: TableName,
  { retentionDays }: { readonly retentionDays: number },
): Promise<void> {
  // Nobody else writes to rows this old. Index: block ranges of created_at; operations are few.
  const sweep = (name: string, time: string): string => `
    delete from ${table(name)} where id = any (array(
      select id from ${table(name)} where ${time} < clock_timestamp() - make_interval(days => $1) limit $2
    ))`;
  await transact(async (run) => {
    await run("set local enable_bitmapscan = on", []);
    await run(sweep("webhook_event_runs", "created_at"), [retentionDays, sweepLimit]);
    await run(sweep("webhook_operations", "finished_at"), [retentionDays, sweepLimit]);
  });
}

/**
 * Brings the block ranges of `webhook_requests_named` up to date, so that a search by id or subject reads few of the newest pages.
 * Returns how many ranges it read. Takes no lock that stops readers or writers; where a vacuum is at work, it leaves the partition
 * for the next time.
 */
export async function summarizeRequests(transact: Transact, table: TableName): Promise<number> {
  const parts = await transact((run) =>
    run(
      `select inhrelid::regclass::text as part from pg_catalog.pg_inherits where inhparent = $1::regclass order by 1 desc`,
      [table("webhook_requests_named")],
    ),
  );
  let ranges = 0;
  for (const { part } of parts.rows) {
    try {
      const { rows } = await transact(async (run) => {
        await run("set local lock_timeout = '500ms'", []);
        return run("select brin_summarize_new_values(to_regclass($1)) as ranges", [part]);
      });
      ranges += Number(rows[0]?.["ranges"] ?? 0);
    } catch (error) {
      if (!(error instanceof LedgerUnavailableError && error.details["sqlState"] === "55P03")) throw error;
    }
  }
  return ranges;
}
