import type { JobRecord, JobState, RecordedError } from "./job.ts";
import type { Database, Row } from "./postgres/database.ts";
import type { TableName } from "./postgres/sql.ts";

/** The columns of a `JobRecord` that both tables have. */
export const recordColumns = `id, queue, name, version, state, payload, errors, attempt, excused, max_attempts, stalls, max_stalls, priority,
  job_key, correlation_id, trace, worker_id, created_at, run_at, claimed_at, limit_key, flow_id,
  unique_key, schedule, payload_form, attributes, cancel_requested_at, cancel_reason, cancelled_by`;

export function createFind(database: Database, table: TableName): (id: string) => Promise<JobRecord | undefined> {
  // One statement, one snapshot: a job on its way from one table to the other is never missed. Index: primary keys.
  const find = {
    name: "warren_find_job",
    text: `select ${recordColumns}, held_by, null as reason, null::jsonb as result, null::timestamptz as finished_at
      from ${table("jobs")} where id = $1
      union all
      select ${recordColumns}, null, reason, result, finished_at from ${table("jobs_history")} where id = $1`,
  };
  return async (id) => {
    const [row] = await database.run(find, [id]);
    return row === undefined ? undefined : jobRecord(row);
  };
}

const optionalText = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
const optionalDate = (value: unknown): Date | undefined => (value instanceof Date ? value : undefined);

export function jobRecord(row: Row): JobRecord {
  return {
    id: String(row["id"]),
    queue: String(row["queue"]),
    name: String(row["name"]),
    version: Number(row["version"]),
    state: row["state"] as JobState,
    payload: row["payload"],
    result: row["result"] ?? undefined,
    reason: optionalText(row["reason"]),
    errors: row["errors"] as readonly RecordedError[],
    attempt: Number(row["attempt"]),
    excused: Number(row["excused"]),
    maxAttempts: Number(row["max_attempts"]),
    stalls: Number(row["stalls"]),
    maxStalls: Number(row["max_stalls"]),
    priority: Number(row["priority"]),
    key: optionalText(row["job_key"]),
    correlationId: String(row["correlation_id"]),
    trace: optionalText(row["trace"]),
    workerId: optionalText(row["worker_id"]),
    heldBy: optionalText(row["held_by"]),
    limitKey: optionalText(row["limit_key"]),
    flowId: optionalText(row["flow_id"]),
    uniqueKey: optionalText(row["unique_key"]),
    schedule: optionalText(row["schedule"]),
    payloadForm: optionalText(row["payload_form"]),
    attributes: (row["attributes"] as JobRecord["attributes"] | null) ?? undefined,
    cancelRequestedAt: optionalDate(row["cancel_requested_at"]),
    cancelReason: optionalText(row["cancel_reason"]),
    cancelledBy: optionalText(row["cancelled_by"]),
    createdAt: row["created_at"] as Date,
    runAt: row["run_at"] as Date,
    claimedAt: optionalDate(row["claimed_at"]),
    finishedAt: optionalDate(row["finished_at"]),
  };
}
