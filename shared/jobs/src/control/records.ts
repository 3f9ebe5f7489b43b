import type { Ledger, NewLine, ProgressReport } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Verdict } from "../attempts/verdict.ts";
import type { Attempt } from "../job.ts";
import type { Activity } from "./activity.ts";
import { assertNote, assertProgress } from "./said.ts";

/** What handlers say about their jobs while they run: progress and lines. Written in batches, and whole before an attempt is settled. */
export interface Records {
  /** @throws JobDataError `JOB_PROGRESS_INVALID`. */
  progress(attempt: Attempt, value: unknown): void;
  /** @throws JobDataError `JOB_PROGRESS_INVALID`. */
  note(attempt: Attempt, text: string): void;
  /** Writes what is left of an attempt that has ended, before its verdict is. `undefined`: it left nothing. Never rejects. */
  close(attempt: Attempt, verdict: Verdict, resultTtlMs: number | undefined): Promise<void> | undefined;
  dispose(): void;
}

export interface RecordsOptions {
  readonly ledger: Pick<Ledger, "control">;
  readonly activity: Pick<Activity, "progressed">;
  readonly log: Logger;
}

/** How long progress and lines wait for others to share a statement. */
const writeEveryMs = 250;
const mostLines = 1_000;
const mostLineCharacters = 2_000;
const mostBytes = 262_144;

interface Kept {
  report: ProgressReport | undefined;
  lines: NewLine[];
  written: number;
  bytes: number;
  isFull: boolean;
}

export function createRecords({ ledger, activity, log }: RecordsOptions): Records {
  const { progress, results } = ledger.control;
  const kept = new Map<Attempt, Kept>();
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();

  function of(attempt: Attempt): Kept {
    const known = kept.get(attempt);
    if (known !== undefined) return known;
    const fresh: Kept = { report: undefined, lines: [], written: 0, bytes: 0, isFull: false };
    kept.set(attempt, fresh);
    return fresh;
  }

  function soon(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      void flush();
    }, writeEveryMs);
  }

  /** One after the other, so that an older progress never comes after a newer one. Never rejects. */
  function flush(): Promise<void> {
    writing = writing.then(write);
    return writing;
  }

  async function write(): Promise<void> {
    const reports: ProgressReport[] = [];
    const lines: NewLine[] = [];
    for (const own of kept.values()) {
      if (own.report !== undefined) reports.push(own.report);
      lines.push(...own.lines);
      own.report = undefined;
      own.lines = [];
    }
    try {
      await Promise.all([progress.save(reports), progress.addLines(lines)]);
    } catch (error) {
      log.warn({ jobs: reports.length, lines: lines.length, err: error }, "progress and lines of jobs are lost");
    }
  }

  async function end(attempt: Attempt, resultTtlMs: number | undefined): Promise<void> {
    if (kept.has(attempt)) {
      await flush();
      kept.delete(attempt);
    }
    if (resultTtlMs === undefined) return;
    try {
      await results.expireIn(attempt.id, resultTtlMs);
    } catch (error) {
      log.warn({ jobId: attempt.id, err: error }, "the result will be kept until retention");
    }
  }

  return {
    progress(attempt, value) {
      assertProgress(attempt.name, value);
      of(attempt).report = { id: attempt.id, attempt: attempt.fence, value };
      activity.progressed(attempt, value);
      soon();
    },
    note(attempt, given) {
      assertNote(attempt.name, given);
      const own = of(attempt);
      if (own.isFull) return;
      const clean = given.slice(0, mostLineCharacters).replaceAll("\u0000", "\uFFFD").toWellFormed();
      own.bytes += Buffer.byteLength(clean);
      own.isFull = own.written === mostLines - 1 || own.bytes > mostBytes;
      const text = own.isFull
        ? `further lines are dropped: at most ${mostLines} and ${mostBytes} bytes an attempt`
        : clean;
      own.lines.push({ id: attempt.id, attempt: attempt.fence, line: own.written, at: new Date(), text });
      own.written += 1;
      soon();
    },
    close(attempt, verdict, resultTtlMs) {
      const ttlMs = verdict.kind === "succeeded" ? resultTtlMs : undefined;
      return ttlMs === undefined && !kept.has(attempt) ? undefined : end(attempt, ttlMs);
    },
    dispose: () => clearTimeout(timer),
  };
}
