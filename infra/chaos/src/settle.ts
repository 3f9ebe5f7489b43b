import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "pg";
import { happened, subscriptions } from "./jobs.ts";
import type { Promises } from "./promises.ts";
import type { ExpectedSchedule } from "./schedules.ts";

/** Still for this long: nothing was under way between two looks. */
const calmMs = 2_000;

/**
 * Waits until nothing is left to do: no unfinished job, flow or outbox entry, no schedule ahead, every promised event handled. Only tells when
 * to look at the records; what is lost is the audit's to find. Answers how long it took, or undefined when it took longer than allowed.
 */
export async function settled(
  pool: Pool,
  promises: Promises,
  schedules: readonly ExpectedSchedule[],
  allowedMs: number,
): Promise<number | undefined> {
  const startedAt = performance.now();
  const events = promises.jobs.filter(({ kind, answer }) => kind === happened.type && answer === "acked");
  const due = events.length * subscriptions.length;
  const numbers = events.map(({ number }) => number);
  let restSince: number | undefined;
  while (performance.now() - startedAt < allowedMs) {
    const isOver = schedules.every(({ endMs }) => Date.now() > endMs + 1_000);
    const left = isOver ? await unfinished(pool, numbers, due) : 1;
    if (left > 0) restSince = undefined;
    else restSince ??= performance.now();
    if (restSince !== undefined && performance.now() - restSince >= calmMs) return restSince - startedAt;
    await sleep(300);
  }
  return undefined;
}

async function unfinished(pool: Pool, numbers: readonly number[], due: number): Promise<number> {
  const { rows } = await pool
    .query<{ count: number }>(
      `select (select count(*) from warren.jobs)::int + (select count(*) from warren.flows where finished_at is null)::int
         + (select count(*) from warren.event_outbox)::int
         + $2::int - (
           select count(distinct (kind, number)) from chaos.effects where kind like 'event.%' and number = any ($1::bigint[])
         )::int as count`,
      [numbers, due],
    )
    .catch(() => ({ rows: [] }));
  return rows[0]?.count ?? 1;
}
