import type { Attempt } from "./audit/attempts.ts";
import type { Inflicted } from "./inflict.ts";

/** How long it took until the work went on. Time in which broker or database were away does not count: nobody can work then. */
export interface Recovery {
  readonly fault: string;
  /** From the fault until 20 s after its end, the longest time in which no handler began. */
  readonly standstillMs: number;
  /** From the end of the fault to the first handler that began after it. */
  readonly goesOnMs: number | undefined;
  /** Of handlers that a kill cut off: the longest until their job began again elsewhere. */
  readonly takenOverMs: number | undefined;
}

type Struck = Pick<Inflicted, "target" | "action" | "beganMs" | "overMs" | "pid">;

const watchedMs = 20_000;

/** Pure. */
export function recoveriesOf(faults: readonly Struck[], attempts: readonly Attempt[]): readonly Recovery[] {
  const starts = attempts.map(({ startMs }) => startMs).toSorted((a, b) => a - b);
  const outages = faults.filter(({ target }) => target === "broker" || target === "database");
  return faults.map(({ target, action, beganMs, overMs, pid }) => {
    const watched = starts.filter((start) => start >= beganMs && start <= overMs + watchedMs);
    const gaps = watched.map((start, index) => workingMs(watched[index - 1] ?? beganMs, start, outages));
    const next = starts.find((start) => start >= overMs);
    const cut = attempts.filter((attempt) => attempt.pid === pid && attempt.ending === "cut");
    const takenOver = cut.flatMap((attempt) => {
      const again = attempts.filter(({ job, startMs }) => job === attempt.job && startMs > attempt.endMs);
      const first = Math.min(...again.map(({ startMs }) => startMs));
      return again.length === 0 ? [] : [workingMs(attempt.endMs, first, outages)];
    });
    return {
      fault: `${target} ${action}`,
      standstillMs: Math.round(Math.max(0, ...gaps)),
      goesOnMs: next === undefined ? undefined : Math.round(workingMs(overMs, next, outages)),
      takenOverMs: takenOver.length === 0 ? undefined : Math.round(Math.max(...takenOver)),
    };
  });
}

/** How much of the time between two moments both servers were there. */
function workingMs(fromMs: number, toMs: number, outages: readonly Struck[]): number {
  let working = 0;
  let at = fromMs;
  for (const { beganMs, overMs } of outages.toSorted((a, b) => a.beganMs - b.beganMs)) {
    working += Math.max(0, Math.min(beganMs, toMs) - at);
    at = Math.max(at, Math.min(overMs, toMs));
  }
  return working + Math.max(0, toMs - at);
}

/** The worst of each kind of fault. Pure. */
export function worstRecoveries(recoveries: readonly Recovery[]): Readonly<Record<string, Omit<Recovery, "fault">>> {
  const groups = Map.groupBy(recoveries, ({ fault }) => fault.replace(/-\d+/, ""));
  return Object.fromEntries(
    [...groups]
      .toSorted(([one], [other]) => one.localeCompare(other))
      .map(([fault, own]) => [
        fault,
        {
          times: own.length,
          standstillMs: worst(own.map(({ standstillMs }) => standstillMs)) ?? 0,
          goesOnMs: worst(own.map(({ goesOnMs }) => goesOnMs)),
          takenOverMs: worst(own.map(({ takenOverMs }) => takenOverMs)),
        },
      ]),
  );
}

const worst = (values: readonly (number | undefined)[]): number | undefined => {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
};

/** How many of these moments fall into each second. Pure. */
export function perSecond(momentsMs: readonly number[]): readonly number[] {
  const counts: number[] = [];
  for (const moment of momentsMs) {
    const second = Math.max(0, Math.floor(moment / 1_000));
    while (counts.length <= second) counts.push(0);
    counts[second] = (counts[second] ?? 0) + 1;
  }
  return counts;
}
