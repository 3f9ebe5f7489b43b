import type { FollowUps } from "../follow-ups.ts";
import type { Database } from "../postgres/database.ts";
import type { Again } from "../postgres/retrying.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { bringBack, type RetryAnswer, type RetryOrder } from "./bring-back.ts";
import { type BulkLedger, createBulkLedger } from "./bulk.ts";
import { type CancelAnswer, cancelIn } from "./cancel.ts";
import { type DiscardAnswer, discardIn } from "./discard.ts";
import { createLists, type JobCounts, type ListedJobs, type ListJobs } from "./list.ts";
import { createProgressLedger, type ProgressLedger } from "./progress.ts";
import { createResultLedger, type ResultLedger } from "./results.ts";
import { createWatchLedger, type WatchLedger } from "./watches.ts";

/** What people do to jobs. Every method takes any number of ids and answers in their order. */
export interface ControlLedger {
  /** Cancels jobs that do not run, and asks for the end of those that do. In the caller's transaction with `run` (read committed). */
  cancel(ids: readonly string[], order: Cancel, run?: RunSql): Promise<readonly CancelAnswer[]>;
  /**
   * Brings dead and cancelled jobs back under their ids; those of flows with what was cancelled or skipped because of them. In the caller's
   * transaction with `run` (read committed).
   */
  retry(ids: readonly string[], order: RetryOrder, run?: RunSql): Promise<readonly RetryAnswer[]>;
  /** Puts dead and cancelled jobs aside: they stay in history, and are listed only on request. */
  discard(ids: readonly string[], by: string): Promise<readonly DiscardAnswer[]>;
  /** Takes that back. */
  restore(ids: readonly string[], by: string): Promise<readonly DiscardAnswer[]>;
  /** Jobs of several states, in pages. Looks at a bounded number of rows. */
  list(wanted: ListJobs): Promise<ListedJobs>;
  /** How many jobs there are by queue and state; estimated where counting would read too much. */
  counts(): Promise<JobCounts>;
  readonly bulk: BulkLedger;
  readonly progress: ProgressLedger;
  readonly results: ResultLedger;
  readonly watches: WatchLedger;
}

interface Cancel {
  readonly reason: string;
  readonly by: string;
}

export interface ControlOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly followUps: FollowUps;
  readonly newId: () => string;
  readonly again: { readonly undone: Again; readonly repeatable: Again };
}

export function createControlLedger(options: ControlOptions): ControlLedger {
  const { database, table, followUps } = options;
  const { undone, repeatable } = options.again;
  const lists = createLists(database, table);
  const progress = createProgressLedger(database, table);
  const results = createResultLedger(database, table);

  async function cancelCommitted(ids: readonly string[], order: Cancel): Promise<readonly CancelAnswer[]> {
    const { answers, finished } = await database.transaction(async (run) => {
      const cancelling = await cancelIn(run, table, ids, { ...order, asksRunning: true });
      return { answers: cancelling.answers, finished: await followUps.finished(run, cancelling.ended) };
    });
    await followUps.committed(finished);
    return answers;
  }

  return {
    cancel: async (ids, order, run) => {
      if (ids.length === 0) return [];
      if (run === undefined) return undone(() => cancelCommitted(ids, order));
      const { answers, ended } = await cancelIn(run, table, ids, { ...order, asksRunning: true });
      await followUps.finished(run, ended);
      return answers;
    },
    retry: async (ids, order, run) => {
      if (ids.length === 0) return [];
      if (run !== undefined) return (await bringBack(run, options, ids, order)).answers;
      const { answers, finished } = await undone(() =>
        database.transaction((own) => bringBack(own, options, ids, order)),
      );
      await followUps.committed(finished);
      return answers;
    },
    discard: (ids, by) =>
      repeatable(() => database.transaction((run) => discardIn(run, table, ids, { by, discards: true }))),
    restore: (ids, by) =>
      repeatable(() => database.transaction((run) => discardIn(run, table, ids, { by, discards: false }))),
    list: (wanted) => repeatable(() => lists.list(wanted)),
    counts: () => repeatable(() => lists.counts()),
    bulk: createBulkLedger(options),
    progress: {
      save: (reports) => repeatable(() => progress.save(reports)),
      get: (id) => repeatable(() => progress.get(id)),
      addLines: (lines) => repeatable(() => progress.addLines(lines)),
      lines: (id, page) => repeatable(() => progress.lines(id, page)),
    },
    results: {
      ends: (ids) => repeatable(() => results.ends(ids)),
      expireIn: (id, ttlMs, run) =>
        run === undefined ? repeatable(() => results.expireIn(id, ttlMs)) : results.expireIn(id, ttlMs, run),
      sweep: (sweep) => repeatable(() => results.sweep(sweep)),
    },
    watches: createWatchLedger(database, table),
  };
}
