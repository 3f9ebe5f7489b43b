import { jobRecord, recordColumns } from "../find.ts";
import type { JobRecord, JobState } from "../job.ts";
import type { Database } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { filterJson, filterSql, type JobFilter } from "./job-filter.ts";

export interface ListJobs {
  readonly filter: JobFilter;
  /** Also those that were discarded. */
  readonly discarded: boolean;
  readonly limit: number;
  /** From a page: towards older or newer jobs than that one. */
  readonly cursor: string | undefined;
  readonly direction: "older" | "newer";
}

export interface ListedJobs {
  /** Newest first, by when they were made. May be short or empty although `next` is there: then more has to be looked through. */
  readonly jobs: readonly JobRecord[];
  /** Where to go on in the same direction; `undefined` at the end. */
  readonly next: string | undefined;
}

export interface StateCount {
  readonly queue: string;
  readonly state: JobState;
  readonly jobs: number;
}

export interface JobCounts {
  /** Jobs by queue and state, but without succeeded ones. */
  readonly counts: readonly StateCount[];
  /** `false`: there are too many to count, and the unfinished ones are estimated from a sample. */
  readonly isExact: boolean;
  /** Dead and cancelled jobs were counted only up to a bound. */
  readonly isFailedCapped: boolean;
  /** Finished jobs in history of all queues, as the database estimates. */
  readonly finishedEstimate: number;
}

/** Rows that a list looks at before it answers with what it has. */
const mostScanned = 10_000;
const mostCounted = 50_000;
const mostFailedCounted = 10_000;

/** One index to read: a table, or one state of history. */
interface Arm {
  readonly source: "jobs" | "jobs_history";
  readonly state: JobState | undefined;
}

export interface Lists {
  list(wanted: ListJobs): Promise<ListedJobs>;
  counts(): Promise<JobCounts>;
}

export function createLists(database: Database, table: TableName): Lists {
  async function scan(run: RunSql, arm: Arm, wanted: ListJobs) {
    const older = wanted.direction === "older";
    const order = older ? "desc" : "asc";
    // Index: jobs (id); jobs_history (id) or jobs_history_failed (state, id) of each partition. Reads ids only, up to a bound.
    const { rows } = await run(
      `with scanned as materialized (
         select j.id, (${filterSql(1, arm.source)}
           ${arm.source === "jobs_history" && !wanted.discarded ? "and j.discarded_at is null" : ""}) as fits
         from ${table(arm.source)} j
         where ($2::uuid is null or j.id ${older ? "<" : ">"} $2::uuid)
           ${arm.state === undefined ? "" : `and j.state = '${arm.state}' and j.state <> 'succeeded'`}
         order by j.id ${order} limit ${mostScanned}
       )
       select array(select id from scanned where fits order by id ${order} limit $3)::text[] as ids,
         (select id from scanned order by id ${order} offset ${mostScanned - 1} limit 1)::text as frontier`,
      [filterJson(wanted.filter), wanted.cursor ?? null, wanted.limit],
    );
    const [row] = rows;
    const frontier = row?.["frontier"];
    const ids = (row?.["ids"] ?? []) as readonly string[];
    // an arm that is full says nothing of what lies beyond its last job, and neither is it asked
    return { ids, frontier: typeof frontier === "string" && ids.length < wanted.limit ? frontier : undefined };
  }

  async function list(wanted: ListJobs): Promise<ListedJobs> {
    return database.transaction(async (run) => {
      // one snapshot: a job on its way from one table to the other is seen once
      await run("set transaction isolation level repeatable read, read only", []);
      const older = wanted.direction === "older";
      const nearer = (a: string, b: string): number => (a < b === older ? 1 : -1);
      const found: string[] = [];
      const frontiers: string[] = [];
      for (const arm of armsOf(wanted.filter)) {
        const { ids, frontier } = await scan(run, arm, wanted);
        found.push(...ids);
        if (frontier !== undefined) frontiers.push(frontier);
      }
      // beyond the nearest frontier not every arm has looked
      const frontier = frontiers.sort(nearer)[0];
      const known = found.filter((id) => frontier === undefined || nearer(id, frontier) <= 0 || id === frontier);
      const page = known.sort(nearer).slice(0, wanted.limit);
      const next = page.length === wanted.limit ? page.at(-1) : frontier;
      return { jobs: await recordsOf(run, page), next };
    });
  }

  async function recordsOf(run: RunSql, ids: readonly string[]): Promise<readonly JobRecord[]> {
    if (ids.length === 0) return [];
    const { rows } = await run(
      `select ${recordColumns}, held_by, null as reason, null::jsonb as result, null::timestamptz as finished_at
       from ${table("jobs")} where id = any ($1::uuid[])
       union all
       select ${recordColumns}, null, reason, result, finished_at from ${table("jobs_history")} where id = any ($1::uuid[])
       order by id desc`,
      [ids],
    );
    return rows.map(jobRecord);
  }

  async function counts(): Promise<JobCounts> {
    return database.transaction(async (run) => {
      await run("set transaction isolation level repeatable read, read only", []);
      const counted = await run(
        `select queue, state, count(*)::integer as jobs
         from (select queue, state from ${table("jobs")} limit ${mostCounted + 1}) counted group by queue, state order by queue, state`,
        [],
      );
      const total = counted.rows.reduce((sum, row) => sum + Number(row["jobs"]), 0);
      const isExact = total <= mostCounted;
      const unfinished = isExact ? counted.rows.map(countOf) : await sample(run);
      // Index: jobs_history_failed (state, id).
      const failed = await run(
        `select queue, state, count(*)::integer as jobs from (
           (select queue, state from ${table("jobs_history")}
            where state = 'dead' and state <> 'succeeded' and discarded_at is null limit ${mostFailedCounted})
           union all
           (select queue, state from ${table("jobs_history")}
            where state = 'cancelled' and state <> 'succeeded' and discarded_at is null limit ${mostFailedCounted})
         ) counted group by queue, state order by queue, state`,
        [],
      );
      const capped = (state: string): boolean =>
        failed.rows.reduce((sum, row) => sum + (row["state"] === state ? Number(row["jobs"]) : 0), 0) >=
        mostFailedCounted;
      const estimate = await run(
        `select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint as jobs
         from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass`,
        [table("jobs_history")],
      );
      return {
        counts: [...unfinished, ...failed.rows.map(countOf)],
        isExact,
        isFailedCapped: capped("dead") || capped("cancelled"),
        finishedEstimate: Number(estimate.rows[0]?.["jobs"] ?? 0),
      };
    });
  }

  /** Reads about as many rows as are counted otherwise, from blocks all over the table. */
  async function sample(run: RunSql): Promise<readonly StateCount[]> {
    const size = await run(
      "select greatest(reltuples, 1)::float8 as jobs from pg_catalog.pg_class where oid = $1::regclass",
      [table("jobs")],
    );
    const percent = Math.min(100, Math.max(0.01, (mostCounted / Number(size.rows[0]?.["jobs"] ?? 1)) * 100));
    const { rows } = await run(
      `select queue, state, count(*)::integer as jobs from ${table("jobs")} tablesample system ($1) group by queue, state
       order by queue, state`,
      [percent],
    );
    return rows.map(countOf).map((one) => ({ ...one, jobs: Math.round((one.jobs * 100) / percent) }));
  }

  return { list, counts };
}

function armsOf({ states }: JobFilter): readonly Arm[] {
  const wants = (state: JobState): boolean => states === undefined || states.includes(state);
  const arms: Arm[] = [];
  if ((["blocked", "scheduled", "ready", "running", "retrying"] as const).some(wants)) {
    arms.push({ source: "jobs", state: undefined });
  }
  if (wants("succeeded")) arms.push({ source: "jobs_history", state: undefined });
  else
    for (const state of ["dead", "cancelled"] as const) if (wants(state)) arms.push({ source: "jobs_history", state });
  return arms;
}

const countOf = (row: Record<string, unknown>): StateCount => ({
  queue: String(row["queue"]),
  state: row["state"] as JobState,
  jobs: Number(row["jobs"]),
});
