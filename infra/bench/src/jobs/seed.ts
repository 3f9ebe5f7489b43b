import type { Pool } from "pg";

/** Fills the ledger with jobs that are finished (history) and that wait for a time far ahead, then lets Postgres look at them. */
export async function seedLedger(
  pool: Pool,
  counts: { readonly finished: number; readonly waiting: number },
): Promise<void> {
  const payload = `jsonb_build_object('number', n, 'sentAtNs', '0', 'filler', repeat('x', 450))`;
  await pool.query(
    `insert into warren.jobs_history (id, run_at, created_at, claimed_at, finished_at, attempt, excused, settled, max_attempts, stalls,
       max_stalls, version, priority, state, queue, name, correlation_id, payload, errors)
     select uuidv7(), now(), now(), now(), now(), 1, 0, 1, 5, 0, 3, 1, 0, 'succeeded', 'bench', 'bench.alone', 'seed', ${payload}, '[]'
     from generate_series(1, $1::int) as n`,
    [counts.finished],
  );
  await pool.query(
    `insert into warren.jobs (id, run_at, send_after, max_attempts, max_stalls, version, state, queue, name, correlation_id, payload)
     select uuidv7(), now() + interval '30 days', now() + interval '30 days', 5, 3, 1, 'scheduled', 'waiting', 'bench.waiting', 'seed', ${payload}
     from generate_series(1, $1::int) as n`,
    [counts.waiting],
  );
  await pool.query("vacuum analyze warren.jobs");
  await pool.query("vacuum analyze warren.jobs_history");
  await pool.query("checkpoint");
}
