import { LedgerConflictError, LedgerDataError, mayBeOneItem } from "../errors.ts";
import type { EnqueueResult, JobState, NewJob } from "../job.ts";
import { type Batcher, createBatcher, type OnBatch } from "../postgres/batcher.ts";
import type { Database } from "../postgres/database.ts";
import type { RunSql, Statement, TableName } from "../postgres/sql.ts";
import { insertJobs, isRare, jobArrayInput, jobArrays, jobInput, jobRowJson, payloadJson } from "./job-insert.ts";
import type { UniqueJobs } from "./unique.ts";

/** A job on its way in. */
interface Row {
  readonly id: string;
  readonly job: NewJob;
  readonly payload: string;
  readonly name: string;
  readonly key: string | undefined;
  /** The caller chose the id, so that the job may exist already, even finished. */
  readonly known: boolean;
}

type Call = readonly Row[];
type Run = (statement: Statement, values: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>;

export interface Enqueue {
  enqueue(jobs: readonly NewJob[]): Promise<readonly EnqueueResult[]>;
  readonly enqueueIn: (run: RunSql, jobs: readonly NewJob[]) => Promise<readonly EnqueueResult[]>;
}

export interface EnqueueOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly newId: () => string;
  readonly onBatch: OnBatch | undefined;
  readonly uniqueJobs: Pick<UniqueJobs, "enqueue" | "enqueueIn">;
}

export function createEnqueue({ database, table, newId, onBatch, uniqueJobs }: EnqueueOptions): Enqueue {
  const statements = enqueueStatements(table);
  const common = { weigh: (call: Call) => call.length, splitOn: mayBeOneItem, onBatch };

  // Three batchers: a key may have to wait for the transaction of somebody who enqueues the same key; others must not. And plain
  // jobs go by the statement with the fewest columns.
  const fresh: Batcher<Call, readonly EnqueueResult[]> = createBatcher({
    ...common,
    name: "enqueue",
    run: (calls) => inOneStatement(calls, insertFresh),
  });
  const rare: Batcher<Call, readonly EnqueueResult[]> = createBatcher({
    ...common,
    name: "enqueue_rare",
    run: (calls) => inOneStatement(calls, (rows) => insertFreshIn(database.run, rows)),
  });
  const known: Batcher<Call, readonly EnqueueResult[]> = createBatcher({
    ...common,
    name: "enqueue_known",
    run: (calls) => inOneStatement(calls, (rows) => database.transaction((run) => insertKnown(plain(run), rows))),
  });

  async function insertFresh(rows: readonly Row[]): Promise<readonly EnqueueResult[]> {
    return createdAs(rows, await database.run(statements.freshArrays, jobArrays(rows)));
  }

  async function insertFreshIn(run: Run, rows: readonly Row[]): Promise<readonly EnqueueResult[]> {
    return createdAs(rows, await run(statements.fresh, [jsonOf(rows)]));
  }

  /** Three steps, each with a fresh snapshot; see the statements. */
  async function insertKnown(run: Run, rows: readonly Row[]): Promise<readonly EnqueueResult[]> {
    // Keys in one order in every process: two batches that share keys wait for each other instead of deadlocking.
    const sorted = [...rows].sort(byKey);
    const inserted = await run(statements.known, [jsonOf(sorted)]);
    const fresh = new Map(inserted.map((row) => [row["id"], created(row)]));
    const suspects = rows.filter((row) => row.known && fresh.has(row.id)).map(({ id }) => id);
    if (suspects.length > 0) {
      for (const row of await run(statements.undo, [JSON.stringify(suspects)])) fresh.delete(row["id"]);
    }
    const results = rows.map(({ id }): EnqueueResult | undefined => {
      const result = fresh.get(id);
      // Once only: the same id twice in a batch is one job, made by the first.
      return result !== undefined && fresh.delete(id) ? result : undefined;
    });
    const losers = rows.filter((_, index) => results[index] === undefined);
    if (losers.length === 0) return results.filter((result) => result !== undefined);
    const found = await run(statements.find, [jsonOf(losers)]);
    const existing = new Map(found.map((row) => [row["asked"], row]));
    return rows.map((row, index) => {
      const result = results[index];
      if (result !== undefined) return result;
      const job = existing.get(row.id);
      if (job === undefined) {
        throw new LedgerConflictError(`the job with the key "${row.key ?? row.id}" was dropped while it was looked up`);
      }
      return { id: String(job["id"]), created: false, state: job["state"] as JobState };
    });
  }

  function rowsOf(jobs: readonly NewJob[]): Call {
    return jobs.map((job) => {
      const id = job.id ?? newId();
      const known = job.id !== undefined && job.idIsFresh !== true;
      if (job.unique !== undefined && (job.key !== undefined || known)) {
        throw new LedgerDataError(
          `job "${job.name}": an id of your own and a unique key exclude each other; give one of them`,
        );
      }
      return { id, job, payload: payloadJson(job), name: job.name, key: job.key, known };
    });
  }

  return {
    enqueue: async (jobs) => {
      if (jobs.length === 0) return [];
      const rows = rowsOf(jobs);
      if (rows.some(isUnique)) return uniqueJobs.enqueue(withoutKeys(rows));
      if (!rows.every(isFresh)) return known.add(rows);
      return rows.some(({ job }) => isRare(job)) ? rare.add(rows) : fresh.add(rows);
    },
    enqueueIn: async (run, jobs) => {
      if (jobs.length === 0) return [];
      const rows = rowsOf(jobs);
      if (rows.some(isUnique)) return uniqueJobs.enqueueIn(run, withoutKeys(rows));
      return rows.every(isFresh) ? insertFreshIn(plain(run), rows) : insertKnown(plain(run), rows);
    },
  };
}

const isUnique = (row: Row): boolean => row.job.unique !== undefined;

/** Jobs with ids of the caller's choice take other steps than unique ones, and would break the order of their locks. */
function withoutKeys(rows: readonly Row[]): readonly Row[] {
  const keyed = rows.find((row) => !isFresh(row));
  if (keyed === undefined) return rows;
  throw new LedgerDataError(`job "${keyed.name}" has an id of your own: enqueue it apart from unique jobs`);
}

const isFresh = (row: Row): boolean => row.key === undefined && !row.known;

/** One statement for the rows of many calls; each call gets its own results back. */
async function inOneStatement(
  calls: readonly Call[],
  insert: (rows: readonly Row[]) => Promise<readonly EnqueueResult[]>,
): Promise<readonly (readonly EnqueueResult[])[]> {
  const results = await insert(calls.flat());
  let from = 0;
  return calls.map((call) => results.slice(from, (from += call.length)));
}

const plain =
  (run: RunSql): Run =>
  async (statement, values) =>
    (await run(statement.text, values)).rows;

/** `waiting` are those that are not ready yet, or wait for their release. */
function createdAs(rows: readonly Row[], waiting: readonly Record<string, unknown>[]): readonly EnqueueResult[] {
  if (waiting.length === 0) return rows.map(({ id }) => ({ id, created: true, state: "ready" }));
  const found = new Map(waiting.map((row) => [row["id"], row]));
  return rows.map(({ id }) => {
    const row = found.get(id);
    return row === undefined ? { id, created: true, state: "ready" } : created(row);
  });
}

function created(row: Record<string, unknown>): EnqueueResult {
  const result = { id: String(row["id"]), created: true, state: row["state"] as JobState };
  return row["gate"] === 0 ? result : { ...result, waits: true };
}

const jsonOf = (rows: readonly Row[]): string => `[${rows.map(jobRowJson).join(",")}]`;

function byKey(a: Row, b: Row): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  const [left, right] = [a.key ?? "", b.key ?? ""];
  if (left !== right) return left < right ? -1 : 1;
  return 0;
}

// Inserts only; locks nothing that exists. Arrays for our own pool; in a caller's transaction the input is one JSON text, so
// that any driver's parameters can carry it.
const freshFrom = (insertion: string, rows: string): string => `with inserted as (
  ${insertion}
  from ${rows}
  returning id, state, gate
)
select id, state, gate from inserted where state <> 'ready' or gate <> 0`;

function enqueueStatements(table: TableName) {
  const input = jobInput(1);
  const insert = insertJobs(table, { rare: true });

  // Step 1. A key's insert waits for whoever is inserting the same key, so exactly one wins, whatever the interleaving.
  // Index: job_keys (name, key), jobs (id).
  const known = `with input as materialized (select * from ${input}),
  won as (
    insert into ${table("job_keys")} (name, key, job_id)
    select name, key, id from input where key is not null
    on conflict (name, key) do nothing
    returning job_id
  )
  ${insert}
  from input r
  where r.key is null or r.id in (select job_id from won)
  on conflict (id) do nothing
  returning id, state, gate`;

  // Step 2, for ids that the caller chose: the job may have existed and finished. Our row now holds the id in the hot table,
  // so an older one has either conflicted with it or shows in history to this later snapshot. Index: both primary keys.
  const undo = `delete from ${table("jobs")} j
  where j.id = any (array(select value::uuid from json_array_elements_text($1::text::json) value))
    and exists (select from ${table("jobs_history")} h where h.id = j.id)
  returning j.id`;

  // Step 3, what the losers lost to. Index: job_keys (name, key), both primary keys.
  const find = `select a.asked, s.id, s.state
  from (
    select r.id as asked, coalesce(k.job_id, r.id) as id
    from ${input} left join ${table("job_keys")} k on k.name = r.name and k.key = r.key
  ) a
  cross join lateral (
    select id, state from ${table("jobs")} j where j.id = a.id
    union all
    select id, state from ${table("jobs_history")} h where h.id = a.id
    limit 1
  ) s`;

  return {
    freshArrays: { name: "warren_enqueue", text: freshFrom(insertJobs(table, { rare: false }), jobArrayInput(1)) },
    fresh: { name: "warren_enqueue_in", text: freshFrom(insert, input) },
    known: { name: "warren_enqueue_known", text: known },
    undo: { name: "warren_enqueue_undo", text: undo },
    find: { name: "warren_enqueue_find", text: find },
  } as const;
}
