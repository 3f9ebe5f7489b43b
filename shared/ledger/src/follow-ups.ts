import type { FinishedState } from "./job.ts";
import type { Row } from "./postgres/database.ts";
import type { RunSql } from "./postgres/sql.ts";

/** A linked job that has just been finished, whoever finished it. */
export interface FinishedJob {
  readonly id: string;
  readonly queue: string;
  readonly name: string;
  readonly state: FinishedState;
  /** Why it is dead or cancelled. */
  readonly reason: string | undefined;
  readonly flowId: string | undefined;
  readonly uniqueKey: string | undefined;
}

/** What happens when linked jobs finish: flows go on, unique keys come free. */
export interface FollowUp {
  /**
   * Runs in the transaction that finishes the jobs, after they have moved to history, and may hold up other calls: set-based, and
   * without waiting for rows that another settlement may hold. What it throws rolls the finishing back.
   */
  finished(run: RunSql, jobs: readonly FinishedJob[]): Promise<void>;
  /**
   * Runs after that transaction has committed, with a fresh snapshot, and is not to be relied on: a process may die in between, and a
   * caller's own transaction (`settleIn`) never gets here. A dispatcher's loop does what was missed.
   */
  committed?(jobs: readonly FinishedJob[]): Promise<void>;
}

/** Columns of a finished job for `finishedJob`, besides the `state` and `reason` that it ends with. */
export const finishedColumns = "id, queue, name, linked, flow_id, unique_key";

/** A row of `finishedColumns`, `state` and `reason`. */
function finishedJob(row: Row): FinishedJob {
  return {
    id: String(row["id"]),
    queue: String(row["queue"]),
    name: String(row["name"]),
    state: row["state"] as FinishedState,
    reason: optional(row["reason"]),
    flowId: optional(row["flow_id"]),
    uniqueKey: optional(row["unique_key"]),
  };
}

const optional = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

export interface FollowUps {
  finished(run: RunSql, rows: readonly Row[]): Promise<readonly FinishedJob[]>;
  /** Never throws. */
  committed(jobs: readonly FinishedJob[]): Promise<void>;
}

/** Joins follow-ups, each called once with all linked jobs of a transaction, in the order given. */
export function createFollowUps(followUps: readonly FollowUp[], onError: (error: unknown) => void): FollowUps {
  return {
    async finished(run, rows) {
      const jobs = rows.filter((row) => row["linked"] === true).map(finishedJob);
      if (jobs.length === 0) return [];
      for (const followUp of followUps) await followUp.finished(run, jobs);
      return jobs;
    },
    async committed(jobs) {
      if (jobs.length === 0) return;
      for (const followUp of followUps) {
        try {
          await followUp.committed?.(jobs);
        } catch (error) {
          onError(error);
        }
      }
    },
  };
}
