import { Pool } from "pg";

/**
 * The handlers' own append-only record, in a database of its own kind: an audit reads what handlers did, not what the ledger believes.
 * It has no unique key on purpose, so that a doubled effect is a second row and not an error that hides it.
 */
const effectsTable = `create table if not exists effects (
  job_id uuid not null,
  number integer not null,
  fence integer not null,
  pid integer not null,
  at timestamptz not null default clock_timestamp()
)`;

export interface Effects extends AsyncDisposable {
  /** Distinct numbers with an effect. */
  count(): Promise<number>;
  /** Job ids with more than one effect. */
  doubled(): Promise<readonly string[]>;
  /** The longest time between two successive effects: how long the work stood still. */
  longestGapMs(): Promise<number>;
  readonly pool: Pool;
}

/** Opens the record in the database that `url` names. */
export async function openEffects(url: string): Promise<Effects> {
  const pool = new Pool({ connectionString: url, max: 2, connectionTimeoutMillis: 2_000 });
  pool.on("error", () => undefined);
  await pool.query(effectsTable);
  const number = async (text: string): Promise<number> => {
    const { rows } = await pool.query<{ value: string | null }>(text);
    return Number(rows[0]?.value ?? 0);
  };
  return {
    pool,
    count: () => number("select count(distinct number) as value from effects"),
    async doubled() {
      const { rows } = await pool.query<{ job_id: string }>(
        "select job_id from effects group by job_id having count(*) > 1",
      );
      return rows.map((row) => row.job_id);
    },
    longestGapMs: () =>
      number(`select max(extract(epoch from gap)) * 1000 as value from (
        select at - lag(at) over (order by at) as gap from effects
      ) as gaps`),
    async [Symbol.asyncDispose]() {
      await pool.end();
    },
  };
}
