import { FencedError, LedgerDataError, mayBeOneItem } from "../errors.ts";
import type { FollowUps } from "../follow-ups.ts";
import { createBatcher, type OnBatch } from "../postgres/batcher.ts";
import type { Database } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import type { Settled, Settlement } from "./outcome.ts";
import { type SettlementRow, settlementArrays, settlementJson, settleStatements, successArrays } from "./settle-sql.ts";

/** A settlement on its way in. */
interface Entry extends SettlementRow {
  /** Its identity. */
  readonly fence: string;
  readonly linked: boolean;
}

export interface Settle {
  settle(settlement: Settlement): Promise<Settled>;
  readonly settleIn: (run: RunSql, settlement: Settlement) => Promise<void>;
  /** Many at once, in one statement of their own. */
  settleAll(settlements: readonly Settlement[]): Promise<readonly Settled[]>;
}

export interface SettleOptions {
  readonly database: Database;
  readonly table: TableName;
  readonly onBatch: OnBatch | undefined;
  readonly followUps: FollowUps;
}

export function createSettle({ database, table, onBatch, followUps }: SettleOptions): Settle {
  const statements = settleStatements(table);
  const common = { splitOn: mayBeOneItem, onBatch };
  const plain = createBatcher<Entry, Settled>({
    ...common,
    name: "settle",
    run: (entries) => settleBatch(entries, settlePlain),
  });
  // Apart: their follow-ups take a transaction of several statements, which plain jobs need not wait for.
  const linked = createBatcher<Entry, Settled>({
    ...common,
    name: "settle_linked",
    run: (entries) => settleBatch(entries, settleLinked),
  });

  /** Most attempts succeed, and that statement is the shortest; whatever it passes by takes the long way. */
  async function settlePlain(entries: readonly Entry[]): Promise<Set<string>> {
    const succeeded = entries.filter(({ kind }) => kind === "succeeded");
    const applied =
      succeeded.length === 0
        ? new Set<string>()
        : fences(await database.run(statements.succeed, successArrays(succeeded)));
    await settleRest(entries, applied, async (rest) =>
      fences(await database.run(statements.settle, settlementArrays(rest))),
    );
    // the caller may not have known that it is linked
    await settleRest(entries, applied, settleLinked);
    return applied;
  }

  async function settleRest(
    entries: readonly Entry[],
    applied: Set<string>,
    apply: (rest: readonly Entry[]) => Promise<Set<string>>,
  ): Promise<void> {
    if (applied.size === entries.length) return;
    const rest = entries.filter(({ fence }) => !applied.has(fence));
    for (const fence of await apply(rest)) applied.add(fence);
  }

  async function settleLinked(entries: readonly Entry[]): Promise<Set<string>> {
    const { rows, finished } = await database.transaction(async (run) => {
      const answer = await run(statements.settleLinked, settlementArrays(entries));
      return { rows: answer.rows, finished: await followUps.finished(run, answer.rows.filter(isFinished)) };
    });
    await followUps.committed(finished);
    return fences(rows);
  }

  async function settleBatch(
    entries: readonly Entry[],
    apply: (sorted: readonly Entry[]) => Promise<Set<string>>,
  ): Promise<readonly Settled[]> {
    // The same settlement twice in a batch is one row of it; rows in id order, since they lock in this order.
    const distinct = new Map(entries.map((entry) => [entry.fence, entry]));
    const sorted = [...distinct.values()].sort((a, b) => (a.fence < b.fence ? -1 : 1));
    const applied = await apply(sorted);
    const missed = sorted.filter(({ fence }) => !applied.has(fence));
    const already =
      missed.length === 0 ? applied : fences(await database.run(statements.already, settlementArrays(missed)));
    return entries.map(({ fence }) => {
      if (applied.delete(fence)) return "applied";
      // Its twin of this batch was applied, or an earlier call was.
      return already.has(fence) || !missed.some((entry) => entry.fence === fence) ? "already" : "fenced";
    });
  }

  return {
    settle: async (settlement) => {
      const entry = entryOf(settlement);
      return (entry.linked ? linked : plain).add(entry);
    },
    settleAll: async (settlements) =>
      settlements.length === 0 ? [] : settleBatch(settlements.map(entryOf), settleLinked),
    settleIn: async (run, settlement) => {
      const { rows } = await run(statements.settleIn, [settlementJson(entryOf(settlement))]);
      if (rows.length === 0) throw new FencedError(settlement.id, settlement.attempt);
      await followUps.finished(run, rows.filter(isFinished));
    },
  };
}

const isFinished = (row: Record<string, unknown>): boolean => finishedStates.has(String(row["state"]));
const finishedStates = new Set(["succeeded", "dead", "cancelled"]);

const fenceOf = (id: string, attempt: number): string => `${id.toLowerCase()}:${attempt}`;

function fences(rows: readonly Record<string, unknown>[]): Set<string> {
  return new Set(rows.map((row) => fenceOf(String(row["id"]), Number(row["attempt"]))));
}

/** Serialised before any batch is formed, so that what JSON cannot hold fails its own call only. */
function entryOf({ id, attempt, workerId, outcome, linked = false }: Settlement): Entry {
  const { kind, ...rest } = outcome;
  const fields: {
    delayMs?: number;
    result?: unknown;
    error?: unknown;
    reason?: string;
    breaker?: string;
  } = rest;
  try {
    return {
      fence: fenceOf(id, attempt),
      id,
      attempt,
      workerId,
      kind,
      delayMs: fields.delayMs,
      result: JSON.stringify(fields.result),
      error: JSON.stringify(fields.error),
      reason: fields.reason,
      breaker: fields.breaker,
      linked,
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new LedgerDataError(`the outcome of job ${id} cannot be written as JSON: ${message}`, { cause: error });
  }
}
