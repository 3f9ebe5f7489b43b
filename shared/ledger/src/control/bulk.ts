import type { FollowUps } from "../follow-ups.ts";
import type { Database, Row } from "../postgres/database.ts";
import type { Again } from "../postgres/retrying.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { actOn } from "./bulk-batch.ts";
import { type BulkAction, type BulkOperation, type NewBulk, operationOf } from "./bulk-operation.ts";
import { readMatching, takeTargets } from "./bulk-targets.ts";
import type { CancelAnswer } from "./cancel.ts";
import { filterJson, type JobFilter } from "./job-filter.ts";

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

const mostPerBatch = 500;

export function createBulkLedger({ database, table, followUps, newId, again }: BulkOptions): BulkLedger {
  const { undone, repeatable } = again;

  async function start(bulk: NewBulk): Promise<BulkOperation> {
    const { action, filter, by, reason, rate } = bulk;
    return database.transaction(async (run) => {
      // all reads see the jobs as they are now
      await run("set transaction isolation level repeatable read", []);
      const id = newId();
      const matched = await readMatching(run, table, bulk, id);
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
    const ids = await takeTargets(run, table, operation, size);
    const done = await actOn(run, { table, followUps }, operation, ids);
    const pauseMs = operation.rate === undefined ? 0 : (ids.length / operation.rate) * 1_000;
    await run(
      `update ${table("bulk_operations")}
       set changed = changed + $2, skipped = skipped + $3, skips = $4::text::jsonb,
         next_batch_at = clock_timestamp() + $5::double precision * interval '1 millisecond',
         state = case when left_over.are_some then state else 'done' end,
         finished_at = case when not left_over.are_some then clock_timestamp() end
       from (select exists (select from ${table("bulk_targets")} where operation_id = $1) as are_some) left_over
       where id = $1`,
      [
        operation.id,
        ids.length - done.refused.length,
        done.refused.length,
        JSON.stringify(addUp(operation.skips, done.refused)),
        pauseMs,
      ],
    );
    return {
      step: { operationId: operation.id, jobs: ids.length, cancels: done.cancels },
      finished: done.finished,
    };
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
          return readMatching(run, table, { action, filter });
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
