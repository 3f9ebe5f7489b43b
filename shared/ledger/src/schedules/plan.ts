import { lastFirings, nextFiring, type Rhythm } from "./next.ts";

/**
 * What becomes of occurrences that nobody fired in time, because no dispatcher or no database ran. `skip`: none of them fires. `once`:
 * the latest fires, for all. A number: so many of the latest fire, each.
 */
export type Misfire = "skip" | "once" | { readonly catchUp: number };

/**
 * What becomes of an occurrence whose predecessor is not finished. `allow`: both run. `skip`: it is left out. `queue`: it waits for the
 * other. `cancel`: the other is cancelled.
 */
export type Overlap = "allow" | "skip" | "queue" | "cancel";

/** What decides when a schedule fires. Instants are milliseconds since 1970. */
export interface Timing {
  readonly rhythm: Rhythm;
  /** No occurrence before; itself one if it fits. */
  readonly start: number | undefined;
  /** No occurrence after; itself one if it fits. */
  readonly end: number | undefined;
  /** How often it fires in all. */
  readonly limit: number | undefined;
  readonly misfire: Misfire;
  readonly overlap: Overlap;
}

/** How far a schedule has come. */
export interface Progress {
  /** The next occurrence; `undefined` when there is none any more. */
  readonly nextAt: number | undefined;
  /** Up to here every occurrence is decided. Never goes back, so that a clock that does fires nothing twice. */
  readonly decidedTo: number;
  /** Occurrences that wait for an earlier one to finish, oldest first. */
  readonly waiting: readonly number[];
  /** Occurrences that were fired or wait; what `limit` counts. */
  readonly fired: number;
}

/** What to do now. */
export interface Round {
  /** Jobs to make, oldest first. */
  readonly start: readonly number[];
  /** Whether the schedule's unfinished jobs are cancelled first. */
  readonly cancelOthers: boolean;
  /** Occurrences left out because they were too late, and because another one was not finished. */
  readonly missed: number;
  readonly overlapped: number;
  readonly progress: Progress;
}

/** Later than this, an occurrence is a misfire. */
const onTimeMs = 60_000;
/** So many occurrences wait at most; the next ones are left out. */
export const mostWaiting = 100;
/** Missed occurrences are counted up to here. */
const mostCounted = 1_000;

/** The first occurrence after `after`; `undefined` when there is none before the end. Pure. */
export function nextOccurrence({ rhythm, start, end }: Omit<Timing, "limit" | "misfire" | "overlap">, after: number) {
  const next = nextFiring(rhythm, start === undefined ? after : Math.max(after, start - 1));
  return next === undefined || (end !== undefined && next > end) ? undefined : next;
}

/** Decides what a schedule does at `now`, given how many of its jobs are unfinished. Pure, and total. */
export function planRound(
  timing: Timing,
  before: Progress,
  { now, unfinished }: { now: number; unfinished: number },
): Round {
  const due = dueOccurrences(timing, before, now);
  const room = timing.limit === undefined ? Number.POSITIVE_INFINITY : Math.max(0, timing.limit - before.fired);
  const admitted = admit(timing.overlap, { waiting: before.waiting, due: due.instants, unfinished, room });
  const fired = before.fired + admitted.fired;
  const decidedTo = before.nextAt === undefined ? before.decidedTo : Math.max(before.decidedTo, now);
  const isSpent = timing.limit !== undefined && fired >= timing.limit;
  const stillAhead = before.nextAt === undefined || before.nextAt > now;
  const nextAt = stillAhead ? before.nextAt : nextOccurrence(timing, decidedTo);
  return {
    start: admitted.start,
    cancelOthers: admitted.cancelOthers,
    missed: due.missed,
    overlapped: admitted.overlapped,
    progress: { nextAt: isSpent ? undefined : nextAt, decidedTo, waiting: admitted.waiting, fired },
  };
}

/** Occurrences that fire now by the misfire policy, and how many do not. */
function dueOccurrences({ rhythm, misfire, end }: Timing, { nextAt }: Progress, now: number) {
  if (nextAt === undefined || nextAt > now) return { instants: [], missed: 0 };
  const until = end === undefined ? now : Math.min(now, end);
  const { instants } = lastFirings(rhythm, { after: nextAt - 1, until, most: mostCounted });
  const latest = instants.at(-1);
  const isLate = latest === undefined || now - latest > onTimeMs;
  const kept = misfire === "skip" ? (isLate ? 0 : 1) : misfire === "once" ? 1 : misfire.catchUp;
  const fire = instants.slice(Math.max(0, instants.length - kept));
  return { instants: fire, missed: instants.length - fire.length };
}

interface Admission {
  readonly waiting: readonly number[];
  readonly due: readonly number[];
  readonly unfinished: number;
  /** How many more may fire before the limit. */
  readonly room: number;
}

/** What of the due occurrences starts, waits or is left out, by the overlap policy. What waited before is counted as fired already. */
function admit(overlap: Overlap, { waiting, due, unfinished, room }: Admission) {
  const isFree = unfinished === 0;
  const line = [...waiting, ...due.slice(0, room)];
  const start = startNow(overlap, line, isFree);
  const left = overlap === "queue" ? line.slice(start.length, start.length + mostWaiting) : [];
  return {
    start,
    waiting: left,
    fired: start.length + left.length - waiting.length,
    overlapped: line.length - start.length - left.length,
    cancelOthers: overlap === "cancel" && start.length > 0 && !isFree,
  };
}

function startNow(overlap: Overlap, line: readonly number[], isFree: boolean): readonly number[] {
  switch (overlap) {
    case "allow":
      return line;
    case "cancel":
      return line.slice(-1);
    case "skip":
    case "queue":
      return isFree ? line.slice(0, 1) : [];
    default:
      return overlap satisfies never;
  }
}
