import { LedgerDataError } from "../errors.ts";
import type { Ledger } from "../ledger.ts";
import { newId as freshId } from "../new-id.ts";
import { retrying } from "../postgres/retrying.ts";
import { uuidBound } from "../uuid-bounds.ts";
import { acceptLate, type JudgeRequest } from "./accept-late.ts";
import { smallestId } from "./id-range.ts";
import { type Act, createReplayStep, type ReplayStep } from "./replay-step.ts";
import {
  findReplay,
  insertReplay,
  listReplays,
  type Replay,
  type ReplayAction,
  setReplayState,
  takenBy,
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

const countBudget: SearchBudget = { requests: 500_000, bodyBytes: 268_435_456, milliseconds: 8_000 };
export function createReplaying(options: ReplayingOptions): Replaying {
  const { ledger, route, judge, newId = freshId } = options;
  const { table, transaction } = ledger;
  const { repeatable, undone } = retrying({ retries: 4, delayMs: 20 });

  const act: Act = (run, action, ids, order) =>
    action === "replay"
      ? runEvents(ledger, run, { ids, order, route, newId })
      : acceptLate(ledger, run, { ids, order, judge, route, newId });

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
        const search = { filter: takenBy(action, filter), range: rangeOf(filter), cursor: undefined } as const;
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
    step: createReplayStep({ table, transaction, undone, act }),
  };
}
