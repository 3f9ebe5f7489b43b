import type { Effect } from "../database-record.ts";
import type { Promised } from "../promises.ts";
import type { Attempt } from "./attempts.ts";
import { type Finding, groupBy } from "./finding.ts";
import { mostAtOnce } from "./limits.ts";

export interface UniqueRecords {
  readonly promised: readonly Promised[];
  readonly effects: readonly Effect[];
  readonly attempts: readonly Attempt[];
}

/** Answers cross the machine's clocks twice; whole milliseconds. */
const toleranceMs = 3;

/**
 * Of one key there was one unfinished job at a time, every job that an answer made or named has run, and no call was told that somebody else
 * does its work who had finished before it called. Pure.
 */
export function auditUnique({ promised, effects, attempts }: UniqueRecords): readonly Finding[] {
  const findings: Finding[] = [];
  const add = (what: string, facts: Finding["facts"]): void => void findings.push({ rule: "unique", what, facts });
  const effectOf = new Map(effects.map((effect) => [effect.job, effect]));
  const doneAt = new Map(
    attempts.flatMap(({ job, doneWallMs }) => (doneWallMs === undefined ? [] : [[job, doneWallMs] as const])),
  );

  for (const [key, own] of groupBy(attempts, ({ key }) => key)) {
    const { most, atMs } = mostAtOnce(own);
    const running = own.filter(({ startMs, endMs }) => startMs <= atMs && endMs > atMs);
    if (most > 1) add(`key ${key}: ${most} ran at once`, { running });
  }
  for (const call of promised.filter(({ answer }) => answer === "acked")) {
    if (!effectOf.has(call.job)) add(`${call.kind} ${call.number}: job ${call.job} never ran to its end`, { call });
    const finishedMs = doneAt.get(call.job);
    if (!call.created && finishedMs !== undefined && finishedMs + toleranceMs < call.sentMs) {
      add(`${call.kind} ${call.number} was left to a job that had finished before`, { call, finishedMs });
    }
  }
  for (const [key, own] of groupBy(
    promised.filter(({ created }) => created),
    ({ key }) => key,
  )) {
    // from the answer to the effect it was surely unfinished
    const open = own
      .map(({ job, answeredMs }) => ({ job, fromMs: answeredMs, toMs: (effectOf.get(job)?.atMs ?? 0) - toleranceMs }))
      .filter(({ fromMs, toMs }) => toMs > fromMs)
      .sort((a, b) => a.fromMs - b.fromMs);
    open.forEach((one, index) => {
      const before = open[index - 1];
      if (before !== undefined && one.fromMs < before.toMs) {
        add(`key ${key}: job ${one.job} was made while ${before.job} was unfinished`, { before, one });
      }
    });
  }
  return findings;
}

/** The last state that was promised of each key was worked on, or a newer one. Pure. */
export function auditLatest({ promised, effects }: Pick<UniqueRecords, "promised" | "effects">): readonly Finding[] {
  const acked = promised.filter(({ answer }) => answer === "acked");
  return [...groupBy(acked, ({ key }) => key)].flatMap(([key, own]): readonly Finding[] => {
    const wanted = Math.max(...own.map(({ number }) => number));
    const seen = effects.filter((effect) => effect.key === key).map(({ number }) => number);
    if (seen.some((number) => number >= wanted)) return [];
    const what = `key ${key}: the latest state ${wanted} was never worked on`;
    return [{ rule: "unique", what, facts: { latest: seen.at(-1) } }];
  });
}
