import { LedgerDataError } from "../errors.ts";
import type { Ledger } from "../ledger.ts";
import { retrying } from "../postgres/retrying.ts";
import { setDedupeDays } from "./dedupe.ts";
import { type EventStanding, statesOfEvents } from "./event-states.ts";
import {
  type EventRecord,
  eventRecord,
  type RequestSummary,
  type StoredRequest,
  storedRequests,
  summariesOf,
} from "./records.ts";
import { checkFilter, isId, type RequestFilter, rangeOf } from "./request-filter.ts";
import { defaultSearchBudget, type Looked, type SearchBudget, searchRequests } from "./search.ts";

export interface RequestQuery {
  readonly filter: RequestFilter;
  /** 1 to 200. Default 50. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly cursor?: string;
  readonly budget?: SearchBudget;
}

export interface RequestPage {
  /** Newest first. May be short or empty although `next` is there: then the search has looked at as much as one call may. */
  readonly requests: readonly RequestSummary[];
  readonly next: string | undefined;
  readonly looked: Looked;
}

export interface EventPage {
  readonly events: readonly (EventStanding & { readonly request: RequestSummary })[];
  readonly next: string | undefined;
  readonly looked: Looked;
}

/** Received requests and the events in them, for people to find and read. Everything is bounded; see `searchRequests`. */
export interface RequestRecords {
  /** @throws LedgerDataError, LedgerError `REQUEST_SEARCH_TIMEOUT`. */
  search(query: RequestQuery): Promise<RequestPage>;
  /** The same over events, with how their jobs stand. */
  events(query: RequestQuery): Promise<EventPage>;
  /** One whole request. `undefined`: unknown, or past retention. */
  find(id: string): Promise<StoredRequest | undefined>;
  /** One event with its jobs, duplicates and runs. */
  event(id: string): Promise<EventRecord | undefined>;
  /** For how many days a source's dedupe keys are remembered; `undefined`: as long as everybody's. */
  setDedupeDays(source: string, days: number | undefined): Promise<void>;
}

const mostListed = 200;

export function createRequestRecords({
  ledger,
}: {
  readonly ledger: Pick<Ledger, "table" | "transaction">;
}): RequestRecords {
  const { table, transaction } = ledger;
  const { repeatable } = retrying({ retries: 2, delayMs: 50 });

  async function ids({ filter, limit = 50, cursor, budget = defaultSearchBudget }: RequestQuery) {
    checkFilter(filter);
    if (!Number.isInteger(limit) || limit < 1 || limit > mostListed) {
      throw new LedgerDataError(`"limit" is 1 to ${mostListed}, got ${limit}`);
    }
    if (cursor !== undefined && !isId(cursor)) throw new LedgerDataError('"cursor" is not one of ours');
    return searchRequests(transaction, table, {
      filter,
      range: rangeOf(filter),
      cursor: cursor?.toLowerCase(),
      direction: "older",
      limit,
      budget,
    });
  }

  return {
    search: (query) =>
      repeatable(async () => {
        const found = await ids(query);
        const requests = await transaction((run) => summariesOf(run, table, found.ids));
        return { requests, next: found.next, looked: found.looked };
      }),
    events: (query) =>
      repeatable(async () => {
        const found = await ids({ ...query, filter: { ...query.filter, statuses: ["accepted"] } });
        return transaction(async (run) => {
          const requests = await summariesOf(run, table, found.ids);
          const standings = await statesOfEvents(run, table, found.ids);
          const events = requests.map((request) => {
            const { state, jobs } = standings.get(request.id) ?? { state: "unmatched" as const, jobs: [] };
            return { request, state, jobs };
          });
          return { events, next: found.next, looked: found.looked };
        });
      }),
    find: async (id) => {
      if (!isId(id)) return undefined;
      return repeatable(async () => {
        const [request] = await transaction((run) => storedRequests(run, table, [id], { lock: false }));
        return request;
      });
    },
    event: async (id) => {
      if (!isId(id)) return undefined;
      return repeatable(() =>
        transaction(async (run) => {
          // one snapshot: a job on its way into history is seen once
          await run("set transaction isolation level repeatable read, read only", []);
          return eventRecord(run, table, id);
        }),
      );
    },
    setDedupeDays: (source, days) =>
      repeatable(() => transaction((run) => setDedupeDays(run, table, { source, days }))),
  };
}
