import type { Database, Row } from "../database.ts";
import type { FollowUps } from "../follow-ups.ts";
import type { JobState } from "../job.ts";
import type { Again } from "../retrying.ts";
import type { RunSql, TableName } from "../sql.ts";
import { bringBack } from "./bring-back.ts";
import { type CancelAnswer, cancelIn } from "./cancel.ts";
import { discardIn } from "./discard.ts";
import { filterJson, filterSql, type JobFilter } from "./job-filter.ts";

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

export interface BulkLedger {
  /** How many jobs match now. */
  count(action: BulkAction, filter: JobFilter): Promise<number>;
  /** Takes down the jobs that match at this moment; dispatchers do the work. */
  start(bulk: NewBulk): Promise<BulkOperation>;
  find(id: string): Promise<BulkOperation | undefined>;
  /** The latest first. */
  list(limit: number): Promise<readonly BulkOperation[]>;
  /** `undefined`: unknown. An operation that has ended stays as it is. */
  setState(id: string, state: "running" | "paused" | "aborted", by: string): Promise<BulkOperation | undefined>;
  /** One batch of one operation whose turn it is, whole or not at all. `undefined`: nothing to do. */
  step(): Promise<BulkStep | undefined>;
}

export interface BulkStep {
  readonly operationId: string;
  readonly jobs: number;
  /** Running jobs that were asked to stop: their workers want a hint. */
  readonly cancels: readonly CancelAnswer[];
}

export interface BulkOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly followUps: FollowUps;
  readonly newId: () => string;
  readonly again: { readonly undone: Again; readonly repeatable: Again };
}

const jobsPerRead = 20_000;
const mostPerBatch = 500;
const endOfTime = "00000000-0000-0000-0000-000000000000";
const unfinishedStates = ["blocked", "scheduled", "ready", "running", "retrying"] as const;
const failedStates = ["dead", "cancelled"] as const;

/** Which states an action looks at: of those it can change, those that the filter names; a retry without states means the dead. */
function statesOf(action: BulkAction, filter: JobFilter): readonly JobState[] {
  const all: readonly JobState[] = action === "cancel" ? unfinishedStates : failedStates;
  const { states } = filter;
  if (states !== undefined) return all.filter((state) => states.includes(state));
  return action === "retry" ? ["dead"] : all;
}

export function createBulkLedger({ database, table, followUps, newId, again }: BulkOptions): BulkLedger {
  const { undone, repeatable } = again;

  /** Hears of all jobs that match, in several statements of one snapshot. `use` is the rest of a statement over `found`. */
  async function readMatching(
    run: RunSql,
    { action, filter, limit = Number.POSITIVE_INFINITY }: Pick<NewBulk, "action" | "filter" | "limit">,
    into?: string,
  ): Promise<number> {
    const json = filterJson(filter);
    let matched = 0;
    for (const state of statesOf(action, filter)) {
      for (let cursor = endOfTime; matched < limit; ) {
        const asked = Math.min(jobsPerRead, limit - matched);
        const own = into === undefined ? [] : [into];
        const { rows } = await run(matchSql(table, action, into !== undefined), [json, state, cursor, asked, ...own]);
        const count = Number(rows[0]?.["count"] ?? 0);
        matched += count;
        if (count < asked) break;
        cursor = String(rows[0]?.["last"]);
      }
    }
    return matched;
  }

  async function start(bulk: NewBulk): Promise<BulkOperation> {
    const { action, filter, by, reason, rate } = bulk;
    return database.transaction(async (run) => {
      // all reads see the jobs as they are now
      await run("set transaction isolation level repeatable read", []);
      const id = newId();
      const matched = await readMatching(run, bulk, id);
      const { rows } = await run(
        `insert into ${table("bulk_operations")} (id, action, filter, requested_by, reason, rate, matched, state, finished_at)
         values ($1, $2, $3::text::jsonb, $4, $5, $6, $7, case when $7 = 0 then 'done' else 'running' end,
           case when $7 = 0 then statement_timestamp() end)
         returning *`,
        [id, action, filterJson(filter), by, reason, rate ?? null, matched],
      );
      return operationOf(one(rows));
    });
  }

  /** The operation's row is locked until its batch has committed: one batch of it at a time, whoever takes it. */
  async function stepIn(run: RunSql) {
    const taken = await run(
      `select * from ${table("bulk_operations")} where state = 'running' and next_batch_at <= clock_timestamp()
       order by next_batch_at limit 1 for update skip locked`,
      [],
    );
    const [row] = taken.rows;
    if (row === undefined) return undefined;
    const operation = operationOf(row);
    const size = operation.rate === undefined ? mostPerBatch : Math.min(mostPerBatch, Math.ceil(operation.rate));
    const left = await run(
      `delete from ${table("bulk_targets")} where operation_id = $1 and job_id = any (array(
         select job_id from ${table("bulk_targets")} where operation_id = $1 order by job_id limit $2
       )) returning job_id`,
      [operation.id, size],
    );
    const ids = left.rows.map((target) => String(target["job_id"])).sort();
    const done = await act(run, operation, ids);
    const pauseMs = operation.rate === undefined ? 0 : (ids.length / operation.rate) * 1_000;
    await run(
      `update ${table("bulk_operations")}
       set changed = changed + $2, skipped = skipped + $3, skips = $4::text::jsonb,
         next_batch_at = clock_timestamp() + $5::double precision * interval '1 millisecond',
         state = case when $6::boolean then 'done' else state end,
         finished_at = case when $6::boolean then clock_timestamp() end
       where id = $1`,
      [
        operation.id,
        ids.length - done.refused.length,
        done.refused.length,
        JSON.stringify(addUp(operation.skips, done.refused)),
        pauseMs,
        ids.length < size,
      ],
    );
    const finished = await followUps.finished(run, done.ended);
    return { step: { operationId: operation.id, jobs: ids.length, cancels: done.cancels }, finished };
  }

  async function act(run: RunSql, operation: BulkOperation, ids: readonly string[]): Promise<Done> {
    if (ids.length === 0) return nothing;
    const { action, by, reason } = operation;
    if (action === "cancel") return cancelBatch(run, operation, ids);
    if (action === "retry") {
      const answers = await bringBack(run, table, ids, {});
      return { ...nothing, refused: answers.map(({ kind }) => kind).filter((kind) => kind !== "retried") };
    }
    const answers = await discardIn(run, table, ids, { by: `${by}: ${reason}`, discards: action === "discard" });
    return { ...nothing, refused: answers.map(({ kind }) => kind).filter((kind) => kind !== "done") };
  }

  /** Where the filter names states, a job that has moved on since is left alone. Locks in id order. */
  async function cancelBatch(run: RunSql, operation: BulkOperation, ids: readonly string[]): Promise<Done> {
    const { by, reason, filter } = operation;
    const states = filter["states"];
    let chosen = ids;
    if (states !== undefined) {
      const { rows } = await run(
        `with locked as materialized (
           select id, state from ${table("jobs")}
           where id = any (array(select value::uuid from json_array_elements_text($1::text::json) value)) order by id for update
         )
         select id from locked where $2::text::jsonb ? state`,
        [JSON.stringify(ids), JSON.stringify(states)],
      );
      chosen = rows.map((row) => String(row["id"]));
    }
    const { answers, ended } = await cancelIn(run, table, chosen, { by, reason, asksRunning: true });
    const refused: string[] = answers
      .map(({ kind }) => kind)
      .filter((kind) => kind === "finished" || kind === "missing");
    for (let moved = chosen.length; moved < ids.length; moved += 1) refused.push("state_changed");
    return { ended, refused, cancels: answers.filter(({ kind }) => kind === "requested") };
  }

  const read = async (text: string, values: readonly unknown[]): Promise<BulkOperation | undefined> => {
    const { rows } = await database.query(text, values);
    return rows[0] === undefined ? undefined : operationOf(rows[0]);
  };
  const operations = table("bulk_operations");

  return {
    count: (action, filter) =>
      repeatable(() =>
        database.transaction(async (run) => {
          await run("set transaction isolation level repeatable read, read only", []);
          return readMatching(run, { action, filter });
        }),
      ),
    start: (bulk) => undone(() => start(bulk)),
    find: (id) => repeatable(() => read(`select * from ${operations} where id = $1`, [id])),
    list: (limit) =>
      repeatable(async () => {
        const { rows } = await database.query(`select * from ${operations} order by id desc limit $1`, [limit]);
        return rows.map(operationOf);
      }),
    setState: (id, state, by) =>
      undone(() =>
        database.transaction(async (run) => {
          // waits for a batch under way
          await run(
            `update ${operations} set state = $2, ended_by = $3, finished_at = case when $2 = 'aborted' then clock_timestamp() end
             where id = $1 and finished_at is null`,
            [id, state, by],
          );
          if (state === "aborted") await run(`delete from ${table("bulk_targets")} where operation_id = $1`, [id]);
          const { rows } = await run(`select * from ${operations} where id = $1`, [id]);
          return rows[0] === undefined ? undefined : operationOf(rows[0]);
        }),
      ),
    step: () =>
      undone(async () => {
        const done = await database.transaction(stepIn);
        if (done === undefined) return undefined;
        await followUps.committed(done.finished);
        return done.step;
      }),
  };
}

interface Done {
  readonly ended: readonly Row[];
  /** One entry a job that was left alone: why. */
  readonly refused: readonly string[];
  readonly cancels: readonly CancelAnswer[];
}

const nothing: Done = { ended: [], refused: [], cancels: [] };

/** Jobs in one state that match, after a cursor; `takes`: writes them down for the operation `$5`. Index: jobs_history_failed, jobs (id). */
function matchSql(table: TableName, action: BulkAction, takes: boolean): string {
  const source = action === "cancel" ? "jobs" : "jobs_history";
  const discarded = {
    cancel: "",
    retry: "and j.discarded_at is null",
    discard: "and j.discarded_at is null",
    restore: "and j.discarded_at is not null",
  };
  const notSucceeded = source === "jobs" ? "" : "and j.state <> 'succeeded'";
  return `with found as materialized (
      select j.id from ${table(source)} j
      where j.state = $2::text ${notSucceeded} and j.id > $3::uuid ${discarded[action]}
      and ${filterSql(1, source)}
      order by j.id limit $4
    )${
      takes
        ? `,
    taken as (
      insert into ${table("bulk_targets")} (operation_id, job_id) select $5::uuid, id from found
    )`
        : ""
    }
    select count(*) as count, (select id from found order by id desc limit 1) as last from found`;
}

function addUp(before: Readonly<Record<string, number>>, reasons: readonly string[]): Record<string, number> {
  const sums = { ...before };
  for (const reason of reasons) sums[reason] = (sums[reason] ?? 0) + 1;
  return sums;
}

function one(rows: readonly Row[]): Row {
  const [row] = rows;
  if (row === undefined) throw new RangeError("an insert returned no row");
  return row;
}

function operationOf(row: Row): BulkOperation {
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
