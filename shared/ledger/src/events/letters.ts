import type { Database, Row } from "../postgres/database.ts";
import type { TableName } from "../postgres/sql.ts";

/** Which dead events are meant; every field narrows. */
export interface DeadEventFilter {
  /** `<service>.<subscription>`. */
  readonly subscription?: string | undefined;
  readonly type?: string | undefined;
  /** The error code or the broker's reason. */
  readonly reason?: string | undefined;
  /** Ids of dead letters. */
  readonly ids?: readonly string[] | undefined;
  /** Ids of events. */
  readonly eventIds?: readonly string[] | undefined;
  readonly receivedFrom?: Date | undefined;
  readonly receivedBefore?: Date | undefined;
  /** Also those that were replayed before. Default only those that were not. */
  readonly replayed?: boolean | undefined;
  /** Of those, the ones whose last replay was earlier than this. */
  readonly replayedBefore?: Date | undefined;
}

/** An event that one subscription gave up on, or that the broker gave up on in its queue. */
export interface DeadEvent {
  readonly id: string;
  readonly subscription: string;
  readonly eventId: string | undefined;
  readonly type: string | undefined;
  readonly correlationId: string | undefined;
  readonly reason: string;
  /** The broker's history of the message: `x-death`. */
  readonly death: unknown;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
  readonly receivedAt: Date;
  readonly replays: number;
  readonly replayedAt: Date | undefined;
}

export interface DeadEvents {
  /** The moment that freezes a filter, by the database's clock: now, or `at` if that is earlier. */
  freeze(at: Date | undefined): Promise<Date>;
  /** Newest first. */
  list(filter: DeadEventFilter, page: { readonly limit: number }): Promise<readonly DeadEvent[]>;
  count(filter: DeadEventFilter): Promise<number>;
  /** Takes some for a replay, oldest first, for 30 s: other replays leave them alone. */
  take(filter: DeadEventFilter, take: { readonly limit: number }): Promise<readonly DeadEvent[]>;
  /** Notes that the subscription's queue has it again. */
  replayed(id: string): Promise<void>;
  /** Lets other replays have those that were taken and not sent. */
  giveBack(ids: readonly string[]): Promise<void>;
}

const columns = `id, subscription, event_id, event_type, correlation_id, reason, death, headers, body, received_at, replays, replayed_at`;

export function createDeadEvents(database: Database, table: TableName): DeadEvents {
  const letters = table("dead_letters");
  // Index: dead_letters_subscription.
  const matches = `subscription is not null
    and ($1::text is null or subscription = $1) and ($2::text is null or event_type = $2)
    and ($3::text is null or reason = $3)
    and ($4::uuid[] is null or id = any ($4)) and ($5::text[] is null or event_id = any ($5))
    and ($6::timestamptz is null or received_at >= $6) and ($7::timestamptz is null or received_at < $7)
    and (replayed_at is null or ($8::boolean and ($9::timestamptz is null or replayed_at < $9)))`;
  const list = `select ${columns} from ${letters} where ${matches} order by received_at desc, id desc limit $10`;
  const count = `select count(*)::integer as count from ${letters} where ${matches}`;
  // Locks what it takes, skip locked.
  const take = `with taken as (
      select id from ${letters} where ${matches} and (replay_after is null or replay_after <= clock_timestamp())
      order by received_at, id limit $10 for update skip locked
    )
    update ${letters} set replay_after = clock_timestamp() + interval '30 s'
    where id = any (array(select id from taken)) returning ${columns}`;
  const replayed = `update ${letters} set replayed_at = clock_timestamp(), replay_after = null, replays = replays + 1
    where id = $1`;
  const giveBack = `update ${letters} set replay_after = null where id = any ($1::uuid[])`;

  // Dates hold milliseconds: the next one, so that what was received just now is before it.
  const freeze = `select least($1::timestamptz, clock_timestamp() + interval '1 ms') as at`;

  return {
    freeze: async (at) => {
      const frozen = (await database.query(freeze, [at ?? null])).rows[0]?.["at"];
      return frozen instanceof Date ? frozen : new Date();
    },
    list: async (filter, { limit }) => {
      const { rows } = await database.query(list, [...values(filter), limit]);
      return rows.map(readDeadEvent);
    },
    count: async (filter) => Number((await database.query(count, values(filter))).rows[0]?.["count"]),
    take: async (filter, { limit }) => {
      const { rows } = await database.query(take, [...values(filter), limit]);
      return rows.map(readDeadEvent).sort((left, right) => left.receivedAt.getTime() - right.receivedAt.getTime());
    },
    replayed: async (id) => {
      await database.query(replayed, [id]);
    },
    giveBack: async (ids) => {
      if (ids.length > 0) await database.query(giveBack, [ids]);
    },
  };
}

function values(filter: DeadEventFilter): readonly unknown[] {
  return [
    filter.subscription ?? null,
    filter.type ?? null,
    filter.reason ?? null,
    filter.ids ?? null,
    filter.eventIds ?? null,
    filter.receivedFrom ?? null,
    filter.receivedBefore ?? null,
    filter.replayed ?? false,
    filter.replayedBefore ?? null,
  ];
}

function readDeadEvent(row: Row): DeadEvent {
  const text = (column: string): string | undefined => {
    const value = row[column];
    return typeof value === "string" ? value : undefined;
  };
  const headers: unknown = row["headers"];
  const { body, received_at: receivedAt, replayed_at: replayedAt } = row;
  return {
    id: String(row["id"]),
    subscription: String(row["subscription"]),
    eventId: text("event_id"),
    type: text("event_type"),
    correlationId: text("correlation_id"),
    reason: String(row["reason"]),
    death: row["death"],
    headers: typeof headers === "object" && headers !== null ? Object.fromEntries(Object.entries(headers)) : {},
    body: Buffer.isBuffer(body) ? body : Buffer.from(""),
    receivedAt: receivedAt instanceof Date ? receivedAt : new Date(0),
    replays: Number(row["replays"]),
    replayedAt: replayedAt instanceof Date ? replayedAt : undefined,
  };
}
