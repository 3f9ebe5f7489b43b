import type { Effect, Move } from "../database-record.ts";
import type { Note } from "../notes.ts";

/** One run of a handler, as far as it counts: while its worker lived and had the right to run it. */
export interface Attempt {
  readonly kind: string;
  readonly job: string;
  readonly number: number;
  readonly key: string;
  readonly fence: number;
  readonly pid: number;
  readonly startMs: number;
  readonly endMs: number;
  /** `cut`: its process was killed in the middle. `overrun`: it ran on after its lease was over, and counts up to there. */
  readonly ending: "done" | "failed" | "stopped" | "cut" | "overrun";
  /** Wall clock when it had noted that it was done: after its commit. */
  readonly doneWallMs: number | undefined;
}

/** When a process was gone. */
export interface ProcessExit {
  readonly pid: number;
  readonly monoMs: number;
}

/**
 * Puts starts and ends together. A handler that was never heard of again ended with its process. What ends a transactional one is its commit:
 * the next of its key may begin before the first has noted that. A handler of a worker that was taken for dead, because it was suspended,
 * is no longer what limits and order speak of: nobody can stop a frozen process, and what it does when it wakes is refused by its fence. So each
 * counts until the database took the job from it; one that began after that is in the list without any length. Pure; all times are of the
 * monotonic clock.
 */
export function attemptsOf(
  notes: readonly Note[],
  exits: readonly ProcessExit[],
  moves: readonly Move[],
  effects: readonly Pick<Effect, "job" | "fence" | "kind">[],
): readonly Attempt[] {
  const exitOf = new Map(exits.map(({ pid, monoMs }) => [pid, monoMs]));
  const leftAt = new Map(
    moves.filter(({ what }) => what === "left").map((move) => [`${move.job} ${move.fence}`, move]),
  );
  const endOf = new Map(notes.filter(({ what }) => what === "end").map((note) => [idOf(note), note]));
  const committed = new Set(effects.map(({ kind, job, fence }) => `${kind} ${job} ${fence}`));
  return notes
    .filter(({ what }) => what === "start")
    .map((start): Attempt => {
      const end = endOf.get(idOf(start));
      const endedMs = end?.monoMs ?? exitOf.get(start.pid) ?? Number.POSITIVE_INFINITY;
      const left = leftAt.get(`${start.job} ${start.fence}`);
      // the database's clock is this machine's wall clock
      const leftMs = left === undefined ? Number.POSITIVE_INFINITY : left.atMs - start.wallMs + start.monoMs;
      const isDone = end?.outcome === "done" || committed.has(`${start.kind} ${start.job} ${start.fence}`);
      // a wall clock in whole milliseconds may be one behind
      const isOverrun = !isDone && leftMs + 2 < endedMs;
      return {
        kind: start.kind,
        job: start.job,
        number: start.number,
        key: start.key,
        fence: start.fence,
        pid: start.pid,
        startMs: start.monoMs,
        endMs: Math.max(start.monoMs, Math.min(endedMs, leftMs)),
        ending: isDone ? "done" : isOverrun ? "overrun" : (end?.outcome ?? "cut"),
        doneWallMs: end?.outcome === "done" ? end.wallMs : undefined,
      };
    });
}

const idOf = (note: Note): string => `${note.kind} ${note.job} ${note.fence} ${note.pid}`;
