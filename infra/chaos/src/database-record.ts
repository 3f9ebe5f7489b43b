import { Pool } from "pg";

/** A row that a handler wrote in the transaction that completed it. */
export interface Effect {
  /** Order of insertion. */
  readonly position: number;
  readonly kind: string;
  readonly number: number;
  readonly key: string;
  readonly job: string;
  readonly fence: number;
  /** The database's clock, just before the commit. */
  readonly atMs: number;
}

/** A job's way into and out of a worker's hands, as a trigger saw it. */
export interface Move {
  readonly what: "claimed" | "left";
  readonly job: string;
  readonly fence: number;
  readonly queue: string;
  readonly key: string;
  readonly atMs: number;
  readonly dueMs: number;
}

export interface DatabaseRecord extends AsyncDisposable {
  readonly pool: Pool;
  effects(): Promise<readonly Effect[]>;
  moves(): Promise<readonly Move[]>;
  /** Numbers of the rows that callers committed together with an enqueue. */
  orders(): Promise<readonly number[]>;
}

/** No unique key anywhere, on purpose: a doubled effect must be a second row, and not an error that hides it. */
const schema = `
create schema chaos;
create table chaos.effects (
  position bigint generated always as identity, kind text not null, number bigint not null, key text not null, job text not null,
  fence integer not null, pid integer not null, at timestamptz not null default clock_timestamp()
);
create table chaos.orders (number bigint not null);
create table chaos.moves (
  what text not null, job uuid not null, fence integer not null, queue text not null, key text not null, at timestamptz not null,
  due_at timestamptz not null
);
create function chaos.note_claim() returns trigger language plpgsql as $$
begin
  insert into chaos.moves values ('claimed', new.id, new.attempt, new.queue, coalesce(new.limit_key, ''), new.claimed_at, new.run_at);
  return null;
end $$;
create function chaos.note_leave() returns trigger language plpgsql as $$
begin
  insert into chaos.moves values ('left', old.id, old.attempt, old.queue, coalesce(old.limit_key, ''), clock_timestamp(), old.run_at);
  return null;
end $$;
create trigger chaos_claimed after update on warren.jobs for each row
  when (new.state = 'running' and (old.state <> 'running' or old.attempt <> new.attempt)) execute function chaos.note_claim();
create trigger chaos_left after update on warren.jobs for each row
  when (old.state = 'running' and (new.state <> 'running' or old.attempt <> new.attempt)) execute function chaos.note_leave();
create trigger chaos_gone after delete on warren.jobs for each row
  when (old.state = 'running') execute function chaos.note_leave();
`;

const ms = (column: string): string => `extract(epoch from ${column})::float8 * 1000`;

/** Makes the record beside the ledger's schema, in the same database: what a transaction does to both, it does to both or to none. */
export async function createDatabaseRecord(url: string): Promise<DatabaseRecord> {
  const pool = new Pool({ connectionString: url, max: 3, connectionTimeoutMillis: 3_000 });
  pool.on("error", () => undefined);
  await pool.query(schema);
  return {
    pool,
    async effects() {
      const { rows } = await pool.query<Effect>(
        `select position::float8, kind, number::float8, key, job, fence, ${ms("at")} as "atMs" from chaos.effects order by position`,
      );
      return rows;
    },
    async moves() {
      const { rows } = await pool.query<Move>(
        `select what, job::text, fence, queue, key, ${ms("at")} as "atMs", ${ms("due_at")} as "dueMs" from chaos.moves order by at`,
      );
      return rows;
    },
    async orders() {
      const { rows } = await pool.query<{ number: number }>("select number::float8 as number from chaos.orders");
      return rows.map(({ number }) => number);
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}
