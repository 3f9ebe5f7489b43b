import type { Move } from "../database-record.ts";
import type { Attempt } from "./attempts.ts";
import { type Finding, groupBy } from "./finding.ts";

/** The most attempts that ran at once. Pure. */
export function mostAtOnce(attempts: readonly Attempt[]): { readonly most: number; readonly atMs: number } {
  const steps = attempts
    .filter(({ startMs, endMs }) => endMs > startMs)
    .flatMap(({ startMs, endMs }) => [
      { atMs: startMs, by: 1 },
      { atMs: endMs, by: -1 },
    ])
    // what ends at the instant at which another begins has ended
    .sort((a, b) => a.atMs - b.atMs || a.by - b.by);
  let running = 0;
  let most = 0;
  let atMs = 0;
  for (const step of steps) {
    running += step.by;
    if (running > most) {
      most = running;
      atMs = step.atMs;
    }
  }
  return { most, atMs };
}

/** Never more handlers at once than the queue and the key allow. Pure. */
export function auditConcurrency(
  attempts: readonly Attempt[],
  { concurrency, keyConcurrency }: { readonly concurrency: number; readonly keyConcurrency: number },
): readonly Finding[] {
  return [
    ...check("the queue", attempts, concurrency),
    ...[...groupBy(attempts, ({ key }) => key)].flatMap(([key, own]) => check(`key ${key}`, own, keyConcurrency)),
  ];
}

function check(what: string, some: readonly Attempt[], limit: number): readonly Finding[] {
  const { most, atMs } = mostAtOnce(some);
  if (most <= limit) return [];
  const running = some.filter(({ startMs, endMs }) => startMs <= atMs && endMs > atMs);
  return [{ rule: "concurrency", what: `${what}: ${most} at once, ${limit} are allowed`, facts: { atMs, running } }];
}

/**
 * In any span of `t` milliseconds at most `burst + t * limit / perMs` jobs were started, by the database's clock. A bucket that is emptied
 * by each start and never below nothing says the same of all spans. Pure.
 */
export function auditRate(
  starts: readonly number[],
  { limit, perMs, burst }: { readonly limit: number; readonly perMs: number; readonly burst: number },
): readonly Finding[] {
  const sorted = [...starts].sort((a, b) => a - b);
  let tokens = burst;
  let atMs = sorted[0] ?? 0;
  return sorted.flatMap((start, index): readonly Finding[] => {
    tokens = Math.min(burst, tokens + ((start - atMs) * limit) / perMs) - 1;
    atMs = start;
    // timestamps are in microseconds
    if (tokens > -0.001) return [];
    const missing = -tokens;
    tokens = 0;
    const what = `start ${index + 1} came ${((missing * perMs) / limit).toFixed(1)} ms too early for ${limit} in ${perMs} ms`;
    return [
      { rule: "rate", what, facts: { atMs: start, before: sorted.slice(Math.max(0, index - burst - limit), index) } },
    ];
  });
}

/** No job was claimed before its time. Pure. */
export function auditEarly(moves: readonly Move[]): readonly Finding[] {
  return moves
    .filter(({ what, atMs, dueMs }) => what === "claimed" && atMs < dueMs)
    .map((move) => ({
      rule: "early",
      what: `job ${move.job} of ${move.queue} was claimed ${(move.dueMs - move.atMs).toFixed(1)} ms before its time`,
      facts: { move },
    }));
}
