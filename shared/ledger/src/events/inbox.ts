import { LedgerError, mayBeOneItem } from "../errors.ts";
import { createBatcher, type OnBatch } from "../postgres/batcher.ts";
import type { Database } from "../postgres/database.ts";
import type { RunSql, Statement, TableName } from "../postgres/sql.ts";

/** One event as one subscription sees it. */
export interface InboxEntry {
  /** `<service>.<subscription>`. */
  readonly subscription: string;
  readonly eventId: string;
}

/** Which events a subscription has handled, so that a second delivery has no second effect. */
export interface EventInbox {
  /** Whether it is handled and committed. Concurrent calls share a statement. */
  isHandled(entry: InboxEntry): Promise<boolean>;
  /** Notes it outside any transaction. Concurrent calls share a statement. */
  record(entry: InboxEntry): Promise<void>;
  /**
   * Notes it in the caller's transaction. Waits for another transaction that notes the same; `false` if that one committed: then
   * roll back, for its effects are there already.
   */
  recordIn(run: RunSql, entry: InboxEntry): Promise<boolean>;
  /** Forgets entries older than so many days. Answers how many. */
  sweep(policy: { readonly retentionDays: number }): Promise<number>;
}

const sweepLimit = 20_000;
/** One round sweeps at most so many times the limit; the rest waits for the next. */
const sweepRounds = 500;

/** The same entry twice in one insert. */
const cardinalityViolation = "21000";
const splitOn = (error: unknown): boolean =>
  mayBeOneItem(error) || (error instanceof LedgerError && error.details["sqlState"] === cardinalityViolation);

export function createEventInbox(database: Database, table: TableName, onBatch: OnBatch | undefined): EventInbox {
  const inbox = table("event_inbox");
  // Locks nothing. Primary key.
  const handled: Statement = {
    name: "warren_inbox_handled",
    text: `select exists (
        select from ${inbox} i where i.subscription = asked.subscription and i.event_id = asked.event_id
      ) as handled
      from unnest($1::text[], $2::text[]) with ordinality as asked (subscription, event_id, place) order by place`,
  };
  // Waits for whoever inserts the same entry, in their order, so that batches do not deadlock. Primary key.
  const record: Statement = {
    name: "warren_inbox_record",
    text: `insert into ${inbox} (subscription, event_id)
      select distinct subscription, event_id from unnest($1::text[], $2::text[]) as done (subscription, event_id)
      order by subscription, event_id
      on conflict do nothing`,
  };
  const recordIn = `insert into ${inbox} (subscription, event_id) values ($1, $2) on conflict do nothing returning 1 as done`;
  // Nobody else writes to rows this old. Block ranges of handled_at.
  const sweep = `delete from ${inbox} where ctid = any (array(
      select ctid from ${inbox} where handled_at < clock_timestamp() - make_interval(days => $1) limit ${sweepLimit}
    )) returning 1`;
  const columns = (entries: readonly InboxEntry[]) => [
    entries.map(({ subscription }) => subscription),
    entries.map(({ eventId }) => eventId),
  ];

  const asking = createBatcher<InboxEntry, boolean>({
    name: "inbox_handled",
    splitOn,
    onBatch,
    run: async (entries) => (await database.run(handled, columns(entries))).map((row) => row["handled"] === true),
  });
  const recording = createBatcher<InboxEntry, void>({
    name: "inbox_record",
    splitOn,
    onBatch,
    run: async (entries) => {
      await database.run(record, columns(entries));
      return entries.map(() => undefined);
    },
  });

  return {
    isHandled: (entry) => asking.add(entry),
    record: (entry) => recording.add(entry),
    recordIn: async (run, { subscription, eventId }) => (await run(recordIn, [subscription, eventId])).rows.length > 0,
    sweep: async ({ retentionDays }) => {
      let swept = 0;
      for (let round = 0; round < sweepRounds; round += 1) {
        const rows = await database.transaction(async (run) => {
          // block ranges are read by bitmap, which our sessions avoid elsewhere
          await run("set local enable_bitmapscan = on", []);
          return (await run(sweep, [retentionDays])).rows;
        });
        swept += rows.length;
        if (rows.length < sweepLimit) break;
      }
      return swept;
    },
  };
}
