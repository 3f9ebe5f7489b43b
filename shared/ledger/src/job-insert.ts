import { LedgerDataError } from "./errors.ts";
import type { NewJob } from "./job.ts";
import type { TableName } from "./sql.ts";

/** How long the dispatcher leaves a fresh job to the process that enqueued it. */
const sendGraceMs = 5_000;

/** Serialised per job and before any batch is formed, so that what JSON cannot hold fails its own call only. */
export function jobRowJson(job: NewJob, id: string): string {
  try {
    return JSON.stringify({
      id,
      queue: job.queue,
      name: job.name,
      version: job.version,
      payload: job.payload,
      priority: job.priority,
      delay_ms: job.delayMs,
      run_at: job.runAt?.toISOString(),
      max_attempts: job.maxAttempts,
      max_stalls: job.maxStalls,
      key: job.key,
      breakers: job.breakers,
      correlation_id: job.correlationId,
      trace: job.trace,
      grace_ms: job.sendBy === "enqueuer" ? sendGraceMs : 0,
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new LedgerDataError(`job "${job.name}" cannot be written as JSON: ${message}`, { cause: error });
  }
}

/** Job rows from a parameter that holds a JSON array of `jobRowJson`s, as `r`: for a `from`. */
export function jobInput(parameter: number): string {
  return `json_to_recordset($${parameter}::text::json) as r(
      id uuid, queue text, name text, version integer, payload jsonb, priority integer, delay_ms double precision,
      run_at timestamptz, max_attempts integer, max_stalls integer, key text, breakers text[], correlation_id text,
      trace text, grace_ms integer
    )`;
}

/** The insert of rows named `r` (see `jobInput`), up to its `select` list: append `from … where … returning …`. */
export function insertJobs(table: TableName): string {
  const runAt = `coalesce(r.run_at, statement_timestamp() + r.delay_ms * interval '1 millisecond', statement_timestamp())`;
  return `insert into ${table("jobs")} (
      id, run_at, send_after, created_at, max_attempts, max_stalls, version, priority, state, queue, name,
      correlation_id, trace, job_key, breakers, payload
    )
    select r.id, ${runAt}, statement_timestamp() + r.grace_ms * interval '1 millisecond', statement_timestamp(),
      r.max_attempts, r.max_stalls, r.version, coalesce(r.priority, 0),
      case when ${runAt} > statement_timestamp() then 'scheduled' else 'ready' end,
      r.queue, r.name, r.correlation_id, r.trace, r.key, coalesce(r.breakers, '{}'), coalesce(r.payload, 'null')`;
}
