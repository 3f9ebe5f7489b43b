import { type Batcher, createBatcher, type OnBatch } from "./batcher.ts";
import type { Database, Row } from "./database.ts";
import { LedgerConflictError, mayBeOneItem } from "./errors.ts";
import type { FollowUp } from "./follow-ups.ts";
import type { Deduplicated, EnqueueResult, JobState, Uniqueness } from "./job.ts";
import type { JobRow } from "./job-insert.ts";
import type { RunSql, TableName } from "./sql.ts";
import { rowsJson, uniqueStatements } from "./unique-sql.ts";

/** A job that holds a unique key of its name, on its way in. */
type UniqueRow = JobRow & { readonly job: { readonly unique: Uniqueness } };

type Call = readonly JobRow[];

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
        results.set(row, { id: row.id, created: true, state: state["state"] as JobState });
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
      const meeting = meet(row.job.unique, holder);
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

/** What becomes of a job whose key another one holds. Pure. */
export function meet(unique: Uniqueness, holder: Row): Deduplicated | "take_over" {
  const state = holder["state"];
  // history has dropped it
  if (state === null) return "take_over";
  const isUnfinished = state !== "succeeded" && state !== "dead" && state !== "cancelled";
  const hasStarted = holder["started"] === true;
  // The time of an expired key is still running here: expired rows were removed before.
  const holds = holder["until"] === "expired" || (isUnfinished && (holder["until"] === "finished" || !hasStarted));
  if (!holds) return "take_over";
  const waits = isUnfinished && !hasStarted;
  switch (unique.onConflict) {
    case "ignore":
      return "ignored";
    case "replace":
      return waits ? "replaced" : "ignored";
    case "extend":
      return waits ? "extended" : "ignored";
    case "keep-last":
      if (waits) return "replaced";
      return isUnfinished ? "kept" : "ignored";
    default:
      return unique.onConflict satisfies never;
  }
}

function hasKey(row: JobRow): row is UniqueRow {
  return row.job.unique !== undefined;
}

function byKey(a: UniqueRow, b: UniqueRow): number {
  const [left, right] = [keyOf(a), keyOf(b)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

const keyOf = ({ job }: JobRow): string => `${job.name}\n${job.unique?.key ?? ""}`;

function found(result: EnqueueResult | undefined, row: JobRow): EnqueueResult {
  if (result === undefined) throw new LedgerConflictError(`the job ${row.id} was neither made nor found`);
  return result;
}

const ids = ({ rows }: { readonly rows: readonly Row[] }): Set<string> =>
  new Set(rows.map((row) => String(row["job_id"])));

/** Calls that may share a transaction: a key is in one of them only. A call that repeats a key of its own travels alone. */
export function groupsWithoutSharedKeys(calls: readonly Call[]): readonly (readonly Call[])[] {
  const groups: { readonly calls: Call[]; readonly keys: Set<string>; readonly alone: boolean }[] = [];
  for (const call of calls) {
    const keys = call.filter(hasKey).map(keyOf);
    const distinct = new Set(keys);
    const alone = distinct.size < keys.length;
    // not before a group that has one of its keys: callers of one process meet each other in their order
    const from = groups.findLastIndex((group) => !group.keys.isDisjointFrom(distinct)) + 1;
    const group = alone ? undefined : groups.slice(from).find((one) => !one.alone);
    if (group === undefined) groups.push({ calls: [call], keys: distinct, alone });
    else {
      group.calls.push(call);
      for (const key of distinct) group.keys.add(key);
    }
  }
  return groups.map((group) => group.calls);
}

function roundsWithoutSharedKeys(rows: readonly JobRow[]): readonly (readonly JobRow[])[] {
  const rounds: { readonly rows: JobRow[]; readonly keys: Set<string> }[] = [];
  for (const row of rows) {
    const key = hasKey(row) ? keyOf(row) : undefined;
    const from = key === undefined ? 0 : rounds.findLastIndex((round) => round.keys.has(key)) + 1;
    const round = rounds[from];
    if (round === undefined) rounds.push({ rows: [row], keys: new Set(key === undefined ? [] : [key]) });
    else {
      round.rows.push(row);
      if (key !== undefined) round.keys.add(key);
    }
  }
  return rounds.map((round) => round.rows);
}

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
