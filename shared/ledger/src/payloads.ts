import { createFindJobs, type JobPage, type JobQuery } from "./find-jobs.ts";
import type { Database } from "./postgres/database.ts";
import type { TableName } from "./postgres/sql.ts";

/** An unfinished job whose payload is sealed. */
export interface SealedJob {
  readonly id: string;
  readonly name: string;
  readonly uniqueKey: string | undefined;
  readonly schedule: string | undefined;
  readonly payload: unknown;
  readonly payloadForm: string;
}

/** The same data, sealed anew. */
export interface Resealed {
  readonly id: string;
  /** The payload as it was read: the row is left alone if it has another by now. */
  readonly before: unknown;
  readonly payload: unknown;
  readonly payloadForm: string;
}

/** An object of the payload store, and the job whose name it bears. */
export interface NamedObject {
  readonly key: string;
  readonly jobId: string;
}

/** One turn at sweeping a store. */
export interface SweepTurn {
  /** This ledger's own mark in that store. */
  readonly owner: string;
  /** Where the turn before has stopped; `undefined` at the beginning. */
  readonly position: string | undefined;
}

/** Sealed payloads, objects in the payload store, and search by chosen fields. */
export interface PayloadRecords {
  /** Jobs by their searchable fields, unfinished and finished, newest first. @throws LedgerDataError for a query that cannot be. */
  findJobs(query: JobQuery): Promise<JobPage>;
  /** Sealed payloads of unfinished jobs, in id order. */
  sealed(page: { readonly after: string | undefined; readonly limit: number }): Promise<readonly SealedJob[]>;
  /** Writes payloads sealed anew; those that changed or are locked meanwhile are left alone. Answers the ids that it changed. */
  reseal(jobs: readonly Resealed[]): Promise<readonly string[]>;
  /** Which of these objects some job refers to, finished ones included: its payload, its result, the payload of a successor. */
  referenced(objects: readonly NamedObject[]): Promise<ReadonlySet<string>>;
  /** Takes a turn of ten minutes; `undefined` while another process has one, or the last full sweep is younger than `everyMs`. */
  takeSweep(sweep: { readonly store: string; readonly everyMs: number }): Promise<SweepTurn | undefined>;
  /** Ends a turn at `position`, from where the next one goes on. `finished`: the store was swept to its end. */
  endSweep(sweep: {
    readonly store: string;
    readonly position: string | undefined;
    readonly finished: boolean;
  }): Promise<void>;
}

type Repeat = <T>(work: () => Promise<T>) => Promise<T>;

export function createPayloadRecords(database: Database, table: TableName, repeatable: Repeat): PayloadRecords {
  const jobs = table("jobs");
  const sweeps = table("payload_sweeps");
  const findJobs = createFindJobs(database, table);

  // Index: jobs_sealed. Locks nothing.
  const sealed = `select id, name, unique_key, schedule, payload, payload_form from ${jobs}
    where payload_form is not null and ($1::uuid is null or id > $1::uuid) order by id limit $2`;

  // Locks the jobs in id order and skips those in somebody's hands. Index: primary key.
  const reseal = `with input as materialized (
      select id, before, payload, payload_form from json_to_recordset($1::text::json) as i(
        id uuid, before jsonb, payload jsonb, payload_form text
      )
    ),
    locked as materialized (
      select j.id from ${jobs} j
      where j.id = any (array(select id from input)) and j.payload = (select i.before from input i where i.id = j.id)
      order by j.id for update of j skip locked
    )
    update ${jobs} j
    set payload = (select i.payload from input i where i.id = j.id),
      payload_form = (select i.payload_form from input i where i.id = j.id)
    where j.id = any (array(select id from locked))
    returning j.id`;

  // What flows keep of their jobs outlives history. Schedules are few, and read once. Locks nothing.
  // Index: jobs_objects, jobs_history_objects, jobs_history (id), flow_nodes (job_id), unique_keys_objects.
  const referenced = `select a.key
    from json_to_recordset($1::text::json) as a(key text, job_id uuid)
    where exists (select from ${jobs} j where j.payload_form is not null and j.payload ->> 'object' = a.key)
      or exists (select from ${table("jobs_history")} h where h.payload_form is not null and h.payload ->> 'object' = a.key)
      or exists (
        select from ${table("jobs_history")} h where h.id = a.job_id and h.result #>> '{$warren,value,object}' = a.key
      )
      or exists (
        select from ${table("flow_nodes")} n where n.job_id = a.job_id
          and (n.payload ->> 'object' = a.key or n.result #>> '{$warren,value,object}' = a.key)
      )
      or a.key in (select s.payload ->> 'object' from ${table("schedules")} s where s.payload_form is not null)
      or exists (
        select from ${table("unique_keys")} k
        where k.successor is not null and k.successor -> 'payload' ->> 'object' = a.key
      )`;

  // Locks the store's one row. Index: primary key.
  const takeSweep = `insert into ${sweeps} as s (store, taken_until) values ($1, clock_timestamp() + interval '10 minutes')
    on conflict (store) do update set taken_until = excluded.taken_until
    where s.taken_until <= clock_timestamp()
      and (s.finished_at is null or s.position is not null
        or s.finished_at <= clock_timestamp() - $2::float8 * interval '1 millisecond')
    returning owner, position`;

  const endSweep = `update ${sweeps} set position = $2::text, taken_until = clock_timestamp(),
      finished_at = case when $3::boolean then clock_timestamp() else finished_at end
    where store = $1`;

  return {
    findJobs: (query) => repeatable(() => findJobs(query)),
    sealed: ({ after, limit }) =>
      repeatable(async () => {
        const { rows } = await database.query(sealed, [after ?? null, limit]);
        return rows.map((row) => ({
          id: String(row["id"]),
          name: String(row["name"]),
          uniqueKey: (row["unique_key"] as string | null) ?? undefined,
          schedule: (row["schedule"] as string | null) ?? undefined,
          payload: row["payload"],
          payloadForm: String(row["payload_form"]),
        }));
      }),
    reseal: (changes) =>
      repeatable(async () => {
        if (changes.length === 0) return [];
        const input = changes.map(({ id, before, payload, payloadForm }) => ({
          id,
          before,
          payload,
          payload_form: payloadForm,
        }));
        const { rows } = await database.query(reseal, [JSON.stringify(input)]);
        return rows.map((row) => String(row["id"]));
      }),
    referenced: (objects) =>
      repeatable(async () => {
        if (objects.length === 0) return new Set();
        const asked = objects.map(({ key, jobId }) => ({ key, job_id: jobId }));
        const { rows } = await database.query(referenced, [JSON.stringify(asked)]);
        return new Set(rows.map((row) => String(row["key"])));
      }),
    takeSweep: ({ store, everyMs }) =>
      repeatable(async () => {
        const { rows } = await database.query(takeSweep, [store, everyMs]);
        const [row] = rows;
        if (row === undefined) return undefined;
        return { owner: String(row["owner"]), position: (row["position"] as string | null) ?? undefined };
      }),
    endSweep: ({ store, position, finished }) =>
      repeatable(async () => {
        await database.query(endSweep, [store, position ?? null, finished]);
      }),
  };
}
