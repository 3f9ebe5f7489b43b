import { LedgerDataError } from "../errors.ts";
import type { Ledger } from "../ledger.ts";
import { newId as freshId } from "../new-id.ts";
import { retrying } from "../postgres/retrying.ts";
import type { RunSql } from "../postgres/sql.ts";
import { uuidBound } from "../uuid-bounds.ts";
import { acceptLate, type JudgeRequest } from "./accept-late.ts";
import { smallestId } from "./id-range.ts";
import {
  findReplay,
  finishTurn,
  insertReplay,
  listReplays,
  lockTurn,
  nextTurn,
  type Replay,
  type ReplayAction,
  type ReplayTurn,
  setReplayState,
  stillWaiting,
} from "./replays.ts";
import { checkFilter, isId, type RequestFilter, rangeOf, requestFilterJson } from "./request-filter.ts";
import { type RouteEvent, type RunAnswer, type RunMode, type RunOrder, runEvents } from "./run-events.ts";
import { type Looked, type SearchBudget, searchRequests } from "./search.ts";

export interface NewReplay {
  readonly action: ReplayAction;
  /** Default `missing`. Without meaning for `verify`. */
  readonly mode?: RunMode;
  readonly filter: RequestFilter;
  readonly by: string;
  readonly reason: string;
  /** Events a second at most, 0.1 to 1,000. Default 50. */
  readonly rate?: number;
  /** Takes no more while so many of its jobs wait or run. Default 100. */
  readonly mostWaiting?: number;
  /** Takes at most so many, the oldest first. */
  readonly most?: number;
}

export interface ReplayCount {
  readonly matched: number;
  readonly looked: Looked;
}

/** What a step did; `undefined` fields: nothing was its turn. */
export interface ReplayStep {
  readonly id: string;
  readonly answers: readonly RunAnswer[];
  /** It only waits for its own jobs. */
  readonly waits: boolean;
}

/** Runs events again and verifies rejected requests again, one or many. Needs somebody who can route and judge: the ingress. */
export interface Replaying {
  /** Runs events again at once. In the order of the ids. */
  run(ids: readonly string[], order: Omit<RunOrder, "operationId">): Promise<readonly RunAnswer[]>;
  /** Judges rejected requests again at once, as of when they came, and takes what is authentic. */
  verify(ids: readonly string[], order: Omit<RunOrder, "operationId" | "mode">): Promise<readonly RunAnswer[]>;
  /** How many a replay would take if it were made now, as far as the budget allows to look. Changes nothing. */
  count(replay: Pick<NewReplay, "action" | "filter">): Promise<ReplayCount>;
  /** Makes a replay of what has come until now. Any process that calls `step` goes on with it, whoever dies. */
  start(replay: NewReplay): Promise<Replay>;
  find(id: string): Promise<Replay | undefined>;
  /** The latest first. */
  list(page: { readonly limit: number; readonly cursor?: string | undefined }): Promise<readonly Replay[]>;
  /** `undefined`: unknown. One that has ended stays as it is. */
  setState(id: string, state: "running" | "paused" | "aborted", by: string): Promise<Replay | undefined>;
  /** One batch of one replay whose turn it is, whole or not at all. `undefined`: nothing to do. */
  step(): Promise<ReplayStep | undefined>;
}

export interface ReplayingOptions {
  readonly ledger: Pick<Ledger, "table" | "transaction" | "enqueueIn" | "events" | "control">;
  readonly route: RouteEvent;
  readonly judge: JudgeRequest;
  readonly newId?: () => string;
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
const countBudget: SearchBudget = { requests: 500_000, bodyBytes: 268_435_456, milliseconds: 8_000 };
/** A step that finds little must not look for long: others wait for their turn. */
const stepBudget: SearchBudget = { requests: 20_000, bodyBytes: 33_554_432, milliseconds: 1_000 };

export function createReplaying(options: ReplayingOptions): Replaying {
  const { ledger, route, judge, newId = freshId } = options;
  const { table, transaction } = ledger;
  const { repeatable, undone } = retrying({ retries: 4, delayMs: 20 });

  const act = (run: RunSql, action: ReplayAction, ids: readonly string[], order: RunOrder) =>
    action === "replay"
      ? runEvents(ledger, run, { ids, order, route, newId })
      : acceptLate(ledger, run, { ids, order, judge, route, newId });

  async function step(): Promise<ReplayStep | undefined> {
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
      filter: wanted(replay.action, replay.filter),
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
  }

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

  async function start(replay: NewReplay): Promise<Replay> {
    checkFilter(replay.filter);
    const { rate = 50, mostWaiting = 100, most, mode = "missing" } = replay;
    if (!(rate >= 0.1 && rate <= 1_000)) throw new LedgerDataError(`"rate" is 0.1 to 1000 a second, got ${rate}`);
    if (!(Number.isInteger(mostWaiting) && mostWaiting >= 1 && mostWaiting <= 10_000)) {
      throw new LedgerDataError(`"mostWaiting" is 1 to 10000, got ${mostWaiting}`);
    }
    if (most !== undefined && !(Number.isInteger(most) && most >= 1)) {
      throw new LedgerDataError(`"most" is at least 1, got ${most}`);
    }
    return transaction(async (run) => {
      const { rows } = await run("select floor(extract(epoch from clock_timestamp()) * 1000)::bigint as now", []);
      const now = new Date(Number(rows[0]?.["now"]) + 1);
      const before = replay.filter.before === undefined || replay.filter.before > now ? now : replay.filter.before;
      const filter: RequestFilter = { ...replay.filter, before };
      const range = rangeOf(filter);
      return insertReplay(run, table, {
        id: newId(),
        action: replay.action,
        mode,
        filter: requestFilterJson(filter),
        by: replay.by,
        reason: replay.reason,
        rate,
        mostWaiting,
        most,
        fromId: range.from,
        beforeId: uuidBound(before.getTime()),
        position: smallestId,
      });
    });
  }

  return {
    run: (ids, order) =>
      undone(() => transaction((run) => act(run, "replay", ids, { ...order, operationId: undefined }))),
    verify: (ids, order) =>
      undone(() =>
        transaction((run) => act(run, "verify", ids, { ...order, mode: "missing", operationId: undefined })),
      ),
    count: ({ action, filter }) =>
      repeatable(async () => {
        checkFilter(filter);
        const search = { filter: wanted(action, filter), range: rangeOf(filter), cursor: undefined } as const;
        const found = await searchRequests(transaction, table, {
          ...search,
          direction: "newer",
          limit: Number.POSITIVE_INFINITY,
          budget: countBudget,
        });
        return { matched: found.ids.length, looked: found.looked };
      }),
    start: (replay) => undone(() => start(replay)),
    find: async (id) => (isId(id) ? repeatable(() => transaction((run) => findReplay(run, table, id))) : undefined),
    list: ({ limit, cursor }) => repeatable(() => transaction((run) => listReplays(run, table, { limit, cursor }))),
    setState: async (id, state, by) =>
      isId(id) ? undone(() => transaction((run) => setReplayState(run, table, { id, state, by }))) : undefined,
    step,
  };
}

function wanted(action: ReplayAction, filter: RequestFilter): RequestFilter {
  return { ...filter, statuses: [action === "replay" ? "accepted" : "rejected"] };
}

function leftOf({ most, matched }: Replay): number {
  return most === undefined ? Number.POSITIVE_INFINITY : most - matched;
}
