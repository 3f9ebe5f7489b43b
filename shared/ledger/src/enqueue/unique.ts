import { LedgerConflictError, mayBeOneItem } from "../errors.ts";
import type { FollowUp } from "../follow-ups.ts";
import type { Deduplicated, EnqueueResult, JobState } from "../job.ts";
import { type Batcher, createBatcher, type OnBatch } from "../postgres/batcher.ts";
import type { Database, Row } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import type { JobRow } from "./job-insert.ts";
import { type KeyHolder, meet } from "./unique-conflict.ts";
import {
  byKey,
  type Call,
  groupsWithoutSharedKeys,
  hasKey,
  roundsWithoutSharedKeys,
  type UniqueRow,
} from "./unique-rows.ts";
import { rowsJson, uniqueStatements } from "./unique-sql.ts";

type Answer = { readonly results: readonly EnqueueResult[] } | { readonly error: unknown };

const mostRounds = 5;

export interface UniqueJobs {
  /** All of a call or none. */
  enqueue(rows: readonly JobRow[]): Promise<readonly EnqueueResult[]>;
  enqueueIn(run: RunSql, rows: readonly JobRow[]): Promise<readonly EnqueueResult[]>;
  /** Lets a key go, whoever holds it. Answers whether it was held. */
  release(name: string, key: string): Promise<boolean>;
  /** Keys come free, and successors are made, in the transaction that finishes their jobs. */
  readonly followUp: FollowUp;
}

export interface UniqueOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly onBatch: OnBatch | undefined;
}

export function createUniqueJobs({ database, table, onBatch }: UniqueOptions): UniqueJobs {
  const sql = uniqueStatements(table);
  const batcher: Batcher<Call, Answer> = createBatcher({
    name: "enqueue_unique",
    weigh: (call) => call.length,
    onBatch,
    run: async (calls) => {
      const answers = new Map<Call, Answer>();
      for (const group of groupsWithoutSharedKeys(calls)) await writeGroup(group, answers);
      return calls.map((call) => answers.get(call) ?? { error: new RangeError("a call was left out of its batch") });
    },
  });

  /** One transaction. Its failure is its own calls' alone: groups before it are committed. */
  async function writeGroup(group: readonly Call[], answers: Map<Call, Answer>): Promise<void> {
    try {
      const results = await database.transaction((run) => write(run, group.flat()));
      let from = 0;
      for (const call of group) answers.set(call, { results: results.slice(from, (from += call.length)) });
    } catch (error) {
      if (group.length > 1 && mayBeOneItem(error)) {
        for (const call of group) await writeGroup([call], answers);
      } else {
        for (const call of group) answers.set(call, { error });
      }
    }
  }

  /** Rows whose keys may repeat: each repetition meets what the one before it made. */
  async function write(run: RunSql, rows: readonly JobRow[]): Promise<readonly EnqueueResult[]> {
    const results = new Map<JobRow, EnqueueResult>();
    for (const round of roundsWithoutSharedKeys(rows)) {
      for (const [row, result] of await writeDistinct(run, round)) results.set(row, result);
    }
    return rows.map((row) => found(results.get(row), row));
  }

  async function writeDistinct(run: RunSql, rows: readonly JobRow[]): Promise<Map<JobRow, EnqueueResult>> {
    const results = new Map<JobRow, EnqueueResult>();
    const made = new Set<JobRow>(rows.filter((row) => !hasKey(row)));
    let open = rows.filter(hasKey).sort(byKey);
    if (open.length > 0) await run(sql.forgetExpired, [keysJson(open)]);
    // A key may change hands between our insert and our look; the next round meets the new state.
    for (let round = 0; open.length > 0; round += 1) {
      if (round === mostRounds) throw new LedgerConflictError("a unique key changed hands again and again");
      const won = ids(await run(sql.win, [keysJson(open)]));
      for (const row of open) if (won.has(row.id)) made.add(row);
      open = open.filter((row) => !won.has(row.id));
      if (open.length > 0) open = await meetHolders(run, open, made, results);
    }
    if (made.size > 0) {
      const inserted = await run(sql.insert, [rowsJson([...made])]);
      const states = new Map(inserted.rows.map((row) => [String(row["id"]), row]));
      for (const row of made) {
        const state = states.get(row.id);
        if (state === undefined) continue;
        const result = { id: row.id, created: true, state: state["state"] as JobState };
        results.set(row, state["gate"] === 0 ? result : { ...result, waits: true });
      }
    }
    return results;
  }

  /**
   * The keys are another job's. Locks the holders in id order, as settlements and claims do, and only then their keys: so nobody who
   * finishes a job (job first, then its key) ever waits for us in a circle.
   */
  async function meetHolders(
    run: RunSql,
    losers: readonly UniqueRow[],
    made: Set<JobRow>,
    results: Map<JobRow, EnqueueResult>,
  ): Promise<UniqueRow[]> {
    const holders = await holdersOf(run, losers);
    const changes: Change[] = [];
    const again: UniqueRow[] = [];
    for (const row of losers) {
      const holder = holders.get(row.id);
      if (holder === undefined) {
        again.push(row);
        continue;
      }
      const meeting = meet(row.job.unique, keyHolder(holder));
      if (meeting === "take_over") {
        made.add(row);
        changes.push({ row, change: "take_over" });
        continue;
      }
      results.set(row, {
        id: String(holder["job_id"]),
        created: false,
        state: holder["state"] as JobState,
        deduplicated: meeting,
      });
      if (meeting !== "ignored") changes.push({ row, change: meeting, holder: String(holder["job_id"]) });
    }
    await apply(run, changes, results);
    return again;
  }

  /** By the id of the job that asks. One that finished while we waited for its lock is looked up with a later snapshot. */
  async function holdersOf(run: RunSql, losers: readonly UniqueRow[]): Promise<Map<string, Row>> {
    const { rows } = await run(sql.holders, [keysJson(losers)]);
    const holders = new Map(rows.map((row) => [String(row["asked"]), row]));
    const vanished = rows.filter((row) => row["state"] === null);
    if (vanished.length > 0) {
      const found = await run(sql.finished, [JSON.stringify(vanished.map((row) => row["job_id"]))]);
      const states = new Map(found.rows.map((row) => [row["id"], row["state"]]));
      for (const row of vanished)
        holders.set(String(row["asked"]), { ...row, state: states.get(row["job_id"]) ?? null });
    }
    return holders;
  }

  async function apply(run: RunSql, changes: readonly Change[], results: Map<JobRow, EnqueueResult>): Promise<void> {
    const of = (...kinds: readonly Change["change"][]) => changes.filter(({ change }) => kinds.includes(change));
    const takeOvers = of("take_over");
    if (takeOvers.length > 0) await run(sql.takeOver, [keysJson(takeOvers.map(({ row }) => row))]);
    const kept = of("kept");
    if (kept.length > 0) await run(sql.keep, [successorsJson(kept)]);
    const replaced = of("replaced", "extended");
    if (replaced.length > 0) {
      const { rows } = await run(sql.replace, [replacementsJson(replaced)]);
      const states = new Map(rows.map((row) => [String(row["id"]), row["state"] as JobState]));
      for (const { row, holder = "" } of replaced) {
        const result = results.get(row);
        const state = states.get(holder);
        if (result !== undefined && state !== undefined) results.set(row, { ...result, state });
      }
    }
    const extended = of("extended").filter(({ row }) => row.job.unique.forMs !== undefined);
    if (extended.length > 0) await run(sql.extend, [keysJson(extended.map(({ row }) => row))]);
  }

  return {
    enqueue: async (rows) => {
      const answer = await batcher.add(rows);
      if ("error" in answer) throw answer.error;
      return answer.results;
    },
    enqueueIn: write,
    release: async (name, key) => (await database.query(sql.release, [name, key])).rows.length > 0,
    followUp: {
      async finished(run, jobs) {
        const holders = jobs.filter(({ uniqueKey }) => uniqueKey !== undefined).map(({ id }) => id);
        if (holders.length === 0) return;
        await run(sql.succeed, [JSON.stringify(holders)]);
        await run(sql.letGo, [JSON.stringify(holders)]);
      },
    },
  };
}

interface Change {
  readonly row: UniqueRow;
  readonly change: "take_over" | Exclude<Deduplicated, "ignored">;
  readonly holder?: string;
}

const keyHolder = (row: Row): KeyHolder => ({
  state: row["state"] as KeyHolder["state"],
  started: row["started"] === true,
  until: row["until"] as KeyHolder["until"],
});

function found(result: EnqueueResult | undefined, row: JobRow): EnqueueResult {
  if (result === undefined) throw new LedgerConflictError(`the job ${row.id} was neither made nor found`);
  return result;
}

const ids = ({ rows }: { readonly rows: readonly Row[] }): Set<string> =>
  new Set(rows.map((row) => String(row["job_id"])));

const keysJson = (rows: readonly UniqueRow[]): string =>
  JSON.stringify(
    rows.map(({ id, job }) => ({
      id,
      name: job.name,
      key: job.unique.key,
      until: job.unique.forMs === undefined ? job.unique.until : "expired",
      for_ms: job.unique.forMs,
    })),
  );

const successorsJson = (changes: readonly Change[]): string =>
  `[${changes.map(({ row, holder }) => `{"holder":"${holder}","row":${rowsJson([sentLater(row)]).slice(1, -1)}}`).join(",")}]`;

/** Whoever enqueued it will not be there to publish it. */
const sentLater = (row: UniqueRow): JobRow => ({ ...row, job: { ...row.job, sendBy: "dispatcher" } });

const replacementsJson = (changes: readonly Change[]): string =>
  `[${changes
    .map(
      ({ row, holder, change }) =>
        `{"holder":"${holder}","restart":${change === "extended"},"row":${rowsJson([row]).slice(1, -1)}}`,
    )
    .join(",")}]`;
