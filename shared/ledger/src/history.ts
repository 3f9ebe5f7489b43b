import type { TableName } from "./postgres/sql.ts";

/** Columns that a finished job takes along from the hot table unchanged. */
const kept = [
  "id",
  "run_at",
  "created_at",
  "claimed_at",
  "attempt",
  "excused",
  "max_attempts",
  "max_stalls",
  "version",
  "priority",
  "worker_id",
  "queue",
  "name",
  "correlation_id",
  "trace",
  "job_key",
  "payload",
  "linked",
  "flow_id",
  "limit_key",
  "unique_key",
  "schedule",
  "payload_form",
  "attributes",
] as const;

/** SQL expressions over the source row, for what the end of a job changes. */
export interface Ending {
  /** A CTE that holds whole rows of `jobs`. */
  readonly source: string;
  readonly where: string;
  readonly state: string;
  readonly reason: string;
  readonly result: string;
  readonly errors: string;
  readonly settled: string;
  readonly stalls: string;
  /** Who cancels it just now, and why; without it, what was asked before is kept. */
  readonly cancel?: { readonly reason: string; readonly by: string };
}

/** The insert that moves finished jobs into history; the caller deletes them in the same statement. */
export function archiveSql(table: TableName, ending: Ending): string {
  const { cancel } = ending;
  const asked =
    cancel === undefined
      ? "cancel_requested_at, cancel_reason, cancelled_by"
      : `clock_timestamp(), ${cancel.reason}, ${cancel.by}`;
  return `insert into ${table("jobs_history")}
    (${kept.join(", ")}, breakers, cancel_requested_at, cancel_reason, cancelled_by, finished_at, state, reason, result, errors,
      settled, stalls)
  select ${kept.join(", ")}, nullif(breakers, '{}'), ${asked}, clock_timestamp(), ${ending.state}, ${ending.reason},
    ${ending.result}, ${ending.errors}, ${ending.settled}, ${ending.stalls}
  from ${ending.source}
  where ${ending.where}`;
}

/** How many errors a job keeps: the latest. */
const keptErrors = 10;

/** An expression that adds an error (a jsonb object) to `errors`, with its attempt and time, and keeps the latest ten. */
export function appendErrorSql(errors: string, error: string, attempt: string): string {
  return `(case when jsonb_array_length(${errors}) >= ${keptErrors} then ${errors} - 0 else ${errors} end)
    || (${error} || jsonb_build_object('attempt', ${attempt}, 'at', clock_timestamp()))`;
}
