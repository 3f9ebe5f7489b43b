import { LedgerDataError } from "../errors.ts";
import { gateOfReady } from "../gate.ts";
import type { NewJob } from "../job.ts";
import { plainArray, textArray } from "../postgres/arrays.ts";
import type { TableName } from "../postgres/sql.ts";

/** How long the dispatcher leaves a fresh job to the process that enqueued it. */
export const sendGraceMs = 5_000;

/** A row of `jobInput` as JSON text. */
export function jobRowJson({ job, id, payload }: JobRow): string {
  const fields = JSON.stringify({
    id,
    queue: job.queue,
    name: job.name,
    version: job.version,
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
    limit_key: job.limitKey,
    linked: job.linked === true || job.unique !== undefined,
    blocked: job.blocked,
    flow_id: job.flowId,
    unique_key: job.unique?.key ?? job.uniqueKey,
    schedule: job.schedule,
    payload_form: job.payloadForm,
    attributes: job.attributes,
  });
  return `${fields.slice(0, -1)},"payload":${payload}}`;
}

/** One job as it is written: the columns of `jobArrays`. */
export interface JobRow {
  readonly job: NewJob;
  readonly id: string;
  /** The payload as JSON text, from `payloadJson`: made before any batch is formed, so that what JSON cannot hold fails its own call only. */
  readonly payload: string;
}

/** Job rows as array parameters, from `$first` on: for a `from`, as `r`; see `jobArrays`. */
export function jobArrayInput(first: number): string {
  const types = [
    "uuid",
    "text",
    "text",
    "int",
    "text",
    "int",
    "float8",
    "timestamptz",
    "int",
    "int",
    "text",
    "text",
    "text",
    "text",
    "int",
  ];
  const parameters = types.map((type, index) => `$${first + index}::${type}[]`).join(", ");
  return `(
      select id, queue, name, version, payload::jsonb as payload, priority, delay_ms, run_at, max_attempts, max_stalls, key,
        breakers::text[] as breakers, correlation_id, trace, grace_ms
      from unnest(${parameters}) as u(
        id, queue, name, version, payload, priority, delay_ms, run_at, max_attempts, max_stalls, key, breakers, correlation_id,
        trace, grace_ms
      )
    ) as r`;
}

/** The values of `jobArrayInput`'s parameters, in order. */
export function jobArrays(rows: readonly JobRow[]): readonly string[] {
  return [
    plainArray(rows.map(({ id }) => id)),
    textArray(rows.map(({ job }) => job.queue)),
    textArray(rows.map(({ job }) => job.name)),
    plainArray(rows.map(({ job }) => job.version)),
    textArray(rows.map(({ payload }) => payload)),
    plainArray(rows.map(({ job }) => job.priority)),
    plainArray(rows.map(({ job }) => job.delayMs)),
    textArray(rows.map(({ job }) => job.runAt?.toISOString())),
    plainArray(rows.map(({ job }) => job.maxAttempts)),
    plainArray(rows.map(({ job }) => job.maxStalls)),
    textArray(rows.map(({ job }) => job.key)),
    textArray(rows.map(({ job }) => (job.breakers === undefined ? undefined : textArray(job.breakers)))),
    textArray(rows.map(({ job }) => job.correlationId)),
    textArray(rows.map(({ job }) => job.trace)),
    plainArray(rows.map(({ job }) => (job.sendBy === "enqueuer" ? sendGraceMs : 0))),
  ];
}

/** The payload of a job as JSON text; throws `LEDGER_DATA_INVALID` for what JSON cannot hold. */
export function payloadJson(job: NewJob): string {
  try {
    // what JSON has no word for (undefined, a function) is kept as null
    return JSON.stringify(job.payload) ?? "null";
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
      trace text, grace_ms integer, limit_key text, linked boolean, blocked boolean, flow_id uuid, unique_key text,
      schedule text, payload_form text, attributes jsonb
    )`;
}

/** Whether a job has what `jobArrayInput` cannot carry. */
export function isRare(job: NewJob): boolean {
  return (
    job.limitKey !== undefined ||
    job.linked === true ||
    job.blocked === true ||
    job.flowId !== undefined ||
    job.uniqueKey !== undefined ||
    job.schedule !== undefined ||
    job.payloadForm !== undefined ||
    job.attributes !== undefined
  );
}

/**
 * The insert of rows named `r` of `jobArrayInput`, or with `rare` of `jobInput`, up to its `select` list: append
 * `from … where … returning …`.
 */
export function insertJobs(table: TableName, { rare }: { readonly rare: boolean }): string {
  const runAt = `coalesce(r.run_at, statement_timestamp() + r.delay_ms * interval '1 millisecond', statement_timestamp())`;
  return `insert into ${table("jobs")} (
      id, run_at, send_after, created_at, max_attempts, max_stalls, version, priority, state, queue, name,
      correlation_id, trace, job_key, breakers, payload, gate${rare ? rareColumns.into : ""}
    )
    select r.id, ${runAt}, statement_timestamp() + r.grace_ms * interval '1 millisecond', statement_timestamp(),
      r.max_attempts, r.max_stalls, r.version, coalesce(r.priority, 0),
      case ${rare ? "when r.blocked then 'blocked' " : ""}when ${runAt} > statement_timestamp() then 'scheduled' else 'ready' end,
      r.queue, r.name, r.correlation_id, r.trace, r.key, coalesce(r.breakers, '{}'), coalesce(r.payload, 'null'),
      ${gateOfReady(table, "r.queue")}${rare ? rareColumns.from : ""}`;
}

const rareColumns = {
  into: ", limit_key, linked, flow_id, unique_key, schedule, payload_form, attributes",
  from: ", r.limit_key, coalesce(r.linked, false), r.flow_id, r.unique_key, r.schedule, r.payload_form, r.attributes",
} as const;
