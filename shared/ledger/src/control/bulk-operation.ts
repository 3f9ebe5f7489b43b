import type { Row } from "../postgres/database.ts";
import type { JobFilter } from "./job-filter.ts";

export type BulkAction = "cancel" | "retry" | "discard" | "restore";
export type BulkState = "running" | "paused" | "done" | "aborted";

export interface NewBulk {
  readonly action: BulkAction;
  readonly filter: JobFilter;
  readonly by: string;
  readonly reason: string;
  /** Jobs a second at most. Default: as fast as it goes. */
  readonly rate?: number;
  /** Takes at most so many, the oldest first. */
  readonly limit?: number;
}

/** An operation on many jobs: who does what to how many, and how far it is. Kept as the audit of it. */
export interface BulkOperation {
  readonly id: string;
  readonly action: BulkAction;
  readonly state: BulkState;
  readonly filter: Readonly<Record<string, unknown>>;
  readonly by: string;
  readonly reason: string;
  readonly rate: number | undefined;
  /** Jobs that matched when it was made; no other is ever touched. */
  readonly matched: number;
  readonly changed: number;
  readonly skipped: number;
  /** Why jobs were left alone: code and number. */
  readonly skips: Readonly<Record<string, number>>;
  readonly createdAt: Date;
  readonly finishedAt: Date | undefined;
  /** Who paused or aborted it last. */
  readonly endedBy: string | undefined;
}

export function operationOf(row: Row): BulkOperation {
  const { finished_at: finishedAt, ended_by: endedBy, rate } = row;
  return {
    id: String(row["id"]),
    action: row["action"] as BulkAction,
    state: row["state"] as BulkState,
    filter: row["filter"] as Readonly<Record<string, unknown>>,
    by: String(row["requested_by"]),
    reason: String(row["reason"]),
    rate: typeof rate === "number" ? rate : undefined,
    matched: Number(row["matched"]),
    changed: Number(row["changed"]),
    skipped: Number(row["skipped"]),
    skips: row["skips"] as Readonly<Record<string, number>>,
    createdAt: row["created_at"] as Date,
    finishedAt: finishedAt instanceof Date ? finishedAt : undefined,
    endedBy: typeof endedBy === "string" ? endedBy : undefined,
  };
}
