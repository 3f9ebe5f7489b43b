import { createHash } from "node:crypto";
import { type FollowUps, finishedColumns } from "./follow-ups.ts";
import { appendErrorSql, archiveSql } from "./history.ts";
import type { JobError } from "./job.ts";
import type { Database } from "./postgres/database.ts";
import { byIdOnly, type TableName } from "./postgres/sql.ts";

/** A message that the broker gave up on, as it came out of a dead queue. It need not be one of ours. */
export interface DeadLetter {
  readonly messageId: string | undefined;
  /** The queue that it died in. */
  readonly queue: string;
  /** RabbitMQ's reason: `delivery_limit`, `rejected`, `expired`, `maxlen`. */
  readonly reason: string;
  readonly exchange?: string;
  readonly routingKey?: string;
  /** The `x-death` header. */
  readonly death?: unknown;
  readonly headers?: unknown;
  readonly body: Uint8Array;
  /** Jobs that the message named, if it could be read. */
  readonly jobIds: readonly string[];
  /** Whose event it is, when it died in a subscription. */
  readonly event?: {
    /** `<service>.<subscription>`. */
    readonly subscription: string;
    readonly id: string | undefined;
    readonly type: string | undefined;
    readonly correlationId: string | undefined;
  };
}

export interface RecordedDeadLetter {
  /** Its id in the ledger, the same at a repeated call. */
  readonly id: string;
  /** `false`: this death of this message was recorded before. */
  readonly recorded: boolean;
  /** How many of its jobs were still ready, and will be sent again. */
  readonly resent: number;
}

export interface DeadLettersOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly newId: () => string;
  readonly followUps: FollowUps;
}

export interface DeadLetters {
  record(letter: DeadLetter): Promise<RecordedDeadLetter>;
  countOf(ids: readonly string[]): Promise<readonly { readonly id: string; readonly count: number }[]>;
  condemn(
    ids: readonly string[],
    verdict: { readonly reason: string; readonly error: JobError },
  ): Promise<readonly string[]>;
}

export function createDeadLetters({ database, table, newId, followUps }: DeadLettersOptions): DeadLetters {
  const insert = `insert into ${table("dead_letters")}
      (id, fingerprint, message_id, queue, reason, exchange, routing_key, death, headers, body, job_ids, subscription, event_id, event_type, correlation_id)
    values ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9::text::jsonb, $10, $11, $12, $13, $14, $15)
    on conflict (fingerprint) do nothing returning id`;
  const find = `select id from ${table("dead_letters")} where fingerprint = $1`;
  // Locks the jobs in id order. Index: jobs (id). Nothing is counted against them: they never ran because of this message.
  const resend = `with waiting as (
      select id from ${table("jobs")} where id = any ($1::uuid[]) and ${byIdOnly("state")} = 'ready' and held_by is null
      order by id for update
    )
    update ${table("jobs")} set sent_at = null, send_after = clock_timestamp()
    where id = any (array(select id from waiting)) returning id`;

  // Index: dead_letters_jobs (job_ids).
  const countOf = `select job_id as id, count(*) as count
    from ${table("dead_letters")} cross join lateral unnest(job_ids) as job_id
    where job_ids && $1::uuid[] and job_id = any ($1::uuid[])
    group by job_id`;
  // Locks the jobs in id order. Index: primary keys.
  const condemn = `with lost as materialized (
      select * from ${table("jobs")} where id = any ($1::uuid[]) and ${byIdOnly("state")} = 'ready'
      order by id for update
    ),
    gone as (
      delete from ${table("jobs")} where id = any (array(select id from lost))
    ),
    archived as (
      ${archiveSql(table, {
        source: "lost",
        where: "true",
        state: "'dead'",
        reason: "$2::text",
        result: "null",
        errors: appendErrorSql("errors", "$3::text::jsonb", "attempt"),
        settled: "settled",
        stalls: "stalls",
      })}
    )
    select ${finishedColumns}, 'dead' as state, $2::text as reason from lost`;

  const record = (letter: DeadLetter): Promise<RecordedDeadLetter> =>
    database.transaction(async (run) => {
      const fingerprint = fingerprintOf(letter);
      const { rows } = await run(insert, [
        newId(),
        fingerprint,
        storableOrNull(letter.messageId),
        storable(letter.queue),
        storable(letter.reason),
        storableOrNull(letter.exchange),
        storableOrNull(letter.routingKey),
        storableJson(letter.death),
        storableJson(letter.headers),
        Buffer.from(letter.body),
        letter.jobIds,
        storableOrNull(letter.event?.subscription),
        storableOrNull(letter.event?.id),
        storableOrNull(letter.event?.type),
        storableOrNull(letter.event?.correlationId),
      ]);
      const id = rows[0]?.["id"];
      if (typeof id !== "string") {
        const known = await run(find, [fingerprint]);
        return { id: String(known.rows[0]?.["id"]), recorded: false, resent: 0 };
      }
      const resent = letter.jobIds.length === 0 ? [] : (await run(resend, [letter.jobIds])).rows;
      return { id, recorded: true, resent: resent.length };
    });

  return {
    record,
    countOf: async (ids) => {
      const { rows } = await database.query(countOf, [ids]);
      return rows.map((row) => ({ id: String(row["id"]), count: Number(row["count"]) }));
    },
    condemn: async (ids, { reason, error }) => {
      const { condemned, finished } = await database.transaction(async (run) => {
        const { rows } = await run(condemn, [ids, reason, storableJson(error)]);
        return { condemned: rows.map((row) => String(row["id"])), finished: await followUps.finished(run, rows) };
      });
      await followUps.committed(finished);
      return condemned;
    },
  };
}

/** One death of one message. The broker's delivery count is left out: a redelivery from the dead queue is the same death. */
function fingerprintOf(letter: DeadLetter): Buffer {
  const facts = JSON.stringify([letter.messageId ?? null, letter.queue, letter.reason, letter.death ?? null]);
  return createHash("sha256").update(facts).update("\n").update(letter.body).digest();
}

/** Any message must be kept, whatever it holds: what Postgres cannot store in text is replaced. The body stays exact. */
const storable = (text: string): string => text.toWellFormed().replaceAll("\u0000", "\u{fffd}");

const storableOrNull = (text: string | undefined): string | null => (text === undefined ? null : storable(text));

function storableJson(value: unknown): string | null {
  if (value === undefined) return null;
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner === "string") return storable(inner);
    if (typeof inner === "bigint") return inner.toString();
    return inner;
  });
}
