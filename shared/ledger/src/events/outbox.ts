import { LedgerDataError } from "../errors.ts";
import type { Database, Row } from "../postgres/database.ts";
import type { RunSql, Statement, TableName } from "../postgres/sql.ts";

/** An event on its way to the broker: attributes as message headers, data as JSON text. */
export interface NewOutboxEvent {
  readonly eventId: string;
  readonly type: string;
  readonly headers: Readonly<Record<string, unknown>>;
  /** JSON text. */
  readonly body: string;
  readonly correlationId?: string | undefined;
  /** Events of one key are sent in the order in which their transactions committed; publishers of one key take turns. */
  readonly orderingKey?: string | undefined;
}

export interface OutboxEvent extends NewOutboxEvent {
  /** Its place, as text: a bigint. */
  readonly position: string;
  /** `events`: for every subscriber. `dead`: an announcement of a dead job. */
  readonly topic: "events" | "dead";
}

/** Events that are committed and not yet at the broker. */
export interface Outbox {
  /** Adds events in the caller's transaction (read committed): nothing is sent before it commits. */
  addIn(run: RunSql, events: readonly NewOutboxEvent[]): Promise<void>;
  /** Adds events in a transaction of their own. */
  add(events: readonly NewOutboxEvent[]): Promise<void>;
  /** Unordered events, oldest first, to be sent by the caller within 10 s. */
  takeFree(take: { readonly limit: number }): Promise<readonly OutboxEvent[]>;
  /**
   * The next events of ordering keys that nobody is sending, in order within each key, to be sent one after the other within 10 s. After a
   * failure the rest of that key must not be sent; give it back.
   */
  takeOrdered(take: { readonly keys: number; readonly perKey: number }): Promise<readonly OutboxEvent[]>;
  /** Forgets events that the broker has confirmed. */
  sent(positions: readonly string[]): Promise<void>;
  /** Lets others send these at once. */
  giveBack(positions: readonly string[]): Promise<void>;
  /** For how long the oldest event has waited, in milliseconds; 0 when there is none. */
  oldestMs(): Promise<number>;
}

/** How long a dispatcher has for what it took. */
export const outboxLeaseMs = 10_000;

const columns = "position::text, event_id, topic, type, ordering_key, correlation_id, headers, body";

export function createOutbox(database: Database, table: TableName): Outbox {
  const outbox = table("event_outbox");
  // Held to the end of the transaction: so positions within a key follow the order of commits. Its answer is text, since Prisma cannot read void.
  const lockKeys = `select pg_advisory_xact_lock(hashtextextended(key, 7))::text from (
      select distinct key from unnest($1::text[]) as key order by key
    ) keys`;
  const insert = `insert into ${outbox} (event_id, type, headers, body, correlation_id, ordering_key)
    select * from unnest($1::text[], $2::text[], $3::jsonb[], $4::text[], $5::text[], $6::text[])`;
  const lease = `send_after = clock_timestamp() + interval '${outboxLeaseMs} ms'`;
  // Locks what it takes, skipping what another dispatcher takes now. Index: event_outbox_free.
  const takeFree: Statement = {
    name: "warren_outbox_take_free",
    text: `with taken as (
        select position from ${outbox}
        where ordering_key is null and send_after <= clock_timestamp()
        order by position limit $1 for update skip locked
      )
      update ${outbox} set ${lease} where position = any (array(select position from taken))
      returning ${columns}`,
  };
  // The head of a key stands for the key: whoever leases it has the key alone, and it is leased or gone for as long as a later row is.
  // Locks heads, skip locked. Index: event_outbox_ordered, one hop a key, then each key's next rows. A key is compared by >= and <=:
  // with =, its rows would be as well in the order of the primary key, which may go through the backlogs of all others to find them.
  const takeOrdered: Statement = {
    name: "warren_outbox_take_ordered",
    text: `with recursive keys as (
        (select ordering_key from ${outbox} where ordering_key is not null order by ordering_key limit 1)
        union all
        select (
          select o.ordering_key from ${outbox} o where o.ordering_key > keys.ordering_key
          order by o.ordering_key limit 1
        ) from keys where keys.ordering_key is not null
      ),
      heads as materialized (
        select head.position from keys cross join lateral (
          select o.position, o.send_after from ${outbox} o where o.ordering_key >= keys.ordering_key
          order by o.ordering_key, o.position limit 1
        ) head
        where head.send_after <= clock_timestamp() order by head.position limit $1
      ),
      locked as materialized (
        select position, ordering_key from ${outbox}
        where position = any (array(select position from heads)) and send_after <= clock_timestamp()
        for update skip locked
      ),
      line as materialized (
        select next.position from locked cross join lateral (
          select o.position from ${outbox} o
          where o.ordering_key >= locked.ordering_key and o.ordering_key <= locked.ordering_key and o.position >= locked.position
          order by o.ordering_key, o.position limit $2
        ) next
      )
      update ${outbox} set ${lease} where position = any (array(select position from line))
      returning ${columns}`,
  };
  // Primary key.
  const sent: Statement = {
    name: "warren_outbox_sent",
    text: `delete from ${outbox} where position = any ($1::bigint[])`,
  };
  const giveBack = `update ${outbox} set send_after = clock_timestamp() where position = any ($1::bigint[])`;
  // Locks nothing. Primary key: its first entry.
  const oldest = `select coalesce((
      select extract(epoch from clock_timestamp() - created_at) * 1000 from ${outbox} order by position limit 1
    ), 0)::float8 as age`;

  async function addIn(run: RunSql, events: readonly NewOutboxEvent[]): Promise<void> {
    if (events.length === 0) return;
    const keys = events.flatMap(({ orderingKey }) => (orderingKey === undefined ? [] : [`${outbox} ${orderingKey}`]));
    if (keys.length > 0) await run(lockKeys, [keys]);
    await run(insert, [
      events.map(({ eventId }) => storable("id", eventId)),
      events.map(({ type }) => type),
      events.map(({ headers }) => storable("headers", JSON.stringify(headers))),
      events.map(({ body }) => body),
      events.map(({ correlationId }) => correlationId ?? null),
      events.map(({ orderingKey }) => orderingKey ?? null),
    ]);
  }

  return {
    addIn,
    add: (events) => database.transaction((run) => addIn(run, events)),
    takeFree: async ({ limit }) => (await database.run(takeFree, [limit])).map(readEvent).sort(byPosition),
    takeOrdered: async ({ keys, perKey }) =>
      (await database.run(takeOrdered, [keys, perKey])).map(readEvent).sort(byPosition),
    sent: async (positions) => {
      if (positions.length > 0) await database.run(sent, [positions]);
    },
    giveBack: async (positions) => {
      if (positions.length > 0) await database.query(giveBack, [positions]);
    },
    oldestMs: async () => Math.max(0, Number((await database.query(oldest, [])).rows[0]?.["age"] ?? 0)),
  };
}

function readEvent(row: Row): OutboxEvent {
  const text = (column: string): string | undefined => {
    const value = row[column];
    return typeof value === "string" ? value : undefined;
  };
  const headers: unknown = row["headers"];
  return {
    position: String(row["position"]),
    eventId: String(row["event_id"]),
    topic: row["topic"] === "dead" ? "dead" : "events",
    type: String(row["type"]),
    headers: typeof headers === "object" && headers !== null ? Object.fromEntries(Object.entries(headers)) : {},
    body: String(row["body"]),
    correlationId: text("correlation_id"),
    orderingKey: text("ordering_key"),
  };
}

function byPosition(left: OutboxEvent, right: OutboxEvent): number {
  return Number(BigInt(left.position) - BigInt(right.position));
}

/** Postgres holds neither U+0000 nor half a surrogate pair in text; event data may, since JSON escapes it, and the body is JSON. */
function storable(what: string, value: string): string {
  if (!value.includes("\u0000") && !value.includes("\\u0000") && value.isWellFormed()) return value;
  throw new LedgerDataError(`event ${what} holds U+0000 or half of a surrogate pair, which Postgres cannot store`);
}
