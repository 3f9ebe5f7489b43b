import { LedgerDataError } from "../errors.ts";
import type { Ledger } from "../ledger.ts";
import type { Again } from "../postgres/retrying.ts";
import type { RunSql } from "../postgres/sql.ts";
import { smallestId } from "./id-range.ts";
import {
  finishTurn,
  lockTurn,
  nextTurn,
  type Replay,
  type ReplayAction,
  type ReplayTurn,
  stillWaiting,
  takenBy,
} from "./replays.ts";
import type { RunAnswer, RunOrder } from "./run-events.ts";
import { type Looked, type SearchBudget, searchRequests } from "./search.ts";

/** What a step did; `undefined` fields: nothing was its turn. */
export interface ReplayStep {
  readonly id: string;
  readonly answers: readonly RunAnswer[];
  /** It only waits for its own jobs. */
  readonly waits: boolean;
}

/** Does to these events what a replay does, in the transaction of `run`. */
export type Act = (
  run: RunSql,
  action: ReplayAction,
  ids: readonly string[],
  order: RunOrder,
) => Promise<readonly RunAnswer[]>;

export interface ReplayStepOptions extends Pick<Ledger, "table" | "transaction"> {
  readonly undone: Again;
  readonly act: Act;
}

interface Batch {
  readonly turn: ReplayTurn;
  readonly found: { readonly ids: readonly string[]; readonly next: string | undefined; readonly looked: Looked };
  readonly waiting: readonly string[];
  /** What it holds cannot be written. */
  readonly refused?: boolean;
}

const mostPerBatch = 50;
const batchBytes = 16_777_216;
/** How long a replay that waits for its own jobs rests. */
const waitMs = 250;
/** A step that finds little must not look for long: others wait for their turn. */
const stepBudget: SearchBudget = { requests: 20_000, bodyBytes: 33_554_432, milliseconds: 1_000 };

/** One batch of one replay whose turn it is, whole or not at all. `undefined`: nothing to do. */
export function createReplayStep(options: ReplayStepOptions): () => Promise<ReplayStep | undefined> {
  const { table, transaction, undone, act } = options;

  /** An event that cannot be written is left alone, and never holds up those behind it. */
  async function takeInTurn(batch: Batch): Promise<readonly RunAnswer[] | undefined> {
    const attempt = (tried: Batch) => undone(() => transaction((run) => takeTurn(run, tried)));
    try {
      return await attempt(batch);
    } catch (error) {
      if (!(error instanceof LedgerDataError)) throw error;
      const { ids } = batch.found;
      if (ids.length > 1)
        return takeInTurn({ ...batch, found: { ...batch.found, ids: ids.slice(0, 1), next: ids[0] } });
      return attempt({ ...batch, refused: true });
    }
  }

  /** One batch at a time, whoever takes it: the row is locked until the batch has committed, and its position must be the one that was read. */
  async function takeTurn(
    run: RunSql,
    { turn, found, waiting, refused = false }: Batch,
  ): Promise<readonly RunAnswer[] | undefined> {
    if (!(await lockTurn(run, table, turn))) return undefined;
    const { replay } = turn;
    const ids = await within(run, found.ids);
    const isCut = ids.length < found.ids.length;
    const { mode, by, reason } = replay;
    const answers = refused
      ? ids.map((id): RunAnswer => ({ id, kind: "skipped", why: "route_failed" }))
      : await act(run, replay.action, ids, { mode, by, reason, operationId: replay.id });
    const jobs = answers.flatMap((answer) => (answer.kind === "changed" ? [...answer.made, ...answer.revived] : []));
    const next = isCut ? ids.at(-1) : found.next;
    await finishTurn(run, table, turn, {
      position: next ?? turn.beforeId,
      looked: found.looked.requests,
      answers,
      waiting: [...waiting, ...jobs],
      pauseMs: (ids.length / replay.rate) * 1_000,
      isDone: next === undefined || leftOf(replay) <= ids.length,
    });
    return answers;
  }

  /** As many as have bodies that fit into memory together, at least one. Index: webhook_requests (id). */
  async function within(run: RunSql, ids: readonly string[]): Promise<readonly string[]> {
    const { rows } = await run(
      `select id, body_bytes from ${table("webhook_requests")} where id = any ($1::uuid[]) order by id`,
      [ids],
    );
    const kept: string[] = [];
    let bytes = 0;
    for (const row of rows) {
      bytes += Number(row["body_bytes"]);
      if (kept.length > 0 && bytes > batchBytes) break;
      kept.push(String(row["id"]));
    }
    return kept;
  }

  return async () => {
    const turn = await transaction((run) => nextTurn(run, table));
    if (turn === undefined) return undefined;
    const { replay } = turn;
    const waiting = await transaction((run) => stillWaiting(run, table, turn.waiting));
    const room = replay.mostWaiting - waiting.length;
    if (room <= 0) {
      await transaction(async (run) => {
        if (!(await lockTurn(run, table, turn))) return;
        const { position } = turn;
        await finishTurn(run, table, turn, {
          position,
          looked: 0,
          answers: [],
          waiting,
          pauseMs: waitMs,
          isDone: false,
        });
      });
      return { id: replay.id, answers: [], waits: true };
    }
    const size = Math.max(1, Math.min(mostPerBatch, room, Math.ceil(replay.rate), leftOf(replay)));
    // one more than is taken: so the last batch knows that it is the last
    const seen = await searchRequests(transaction, table, {
      filter: takenBy(replay.action, replay.filter),
      range: { from: turn.fromId, before: turn.beforeId },
      cursor: turn.position === smallestId ? undefined : turn.position,
      direction: "newer",
      limit: size + 1,
      budget: stepBudget,
    });
    const ids = seen.ids.slice(0, size);
    const found = { ids, looked: seen.looked, next: seen.ids.length > size ? ids.at(-1) : seen.next };
    const answers = await takeInTurn({ turn, found, waiting });
    return answers === undefined ? undefined : { id: replay.id, answers, waits: false };
  };
}

function leftOf({ most, matched }: Replay): number {
  return most === undefined ? Number.POSITIVE_INFINITY : most - matched;
}
