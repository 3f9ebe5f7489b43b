import { LedgerError, LedgerUnavailableError } from "../errors.ts";
import type { TableName } from "../postgres/sql.ts";
import { bodyMatcher } from "./body-path.ts";
import { type IdRange, restOf } from "./id-range.ts";
import type { RequestFilter } from "./request-filter.ts";
import {
  chunks,
  extent,
  indexStep,
  listedIds,
  listStep,
  narrow,
  type Step,
  scanStep,
  statementTimeoutMs,
  type Transact,
} from "./search-steps.ts";

export interface SearchRequest {
  readonly filter: RequestFilter;
  readonly range: IdRange;
  /** Exclusive; from a page before. */
  readonly cursor: string | undefined;
  readonly direction: "older" | "newer";
  readonly limit: number;
  readonly budget?: SearchBudget;
}

/** What one search may read before it answers with what it has. */
export interface SearchBudget {
  /** Rows looked at. */
  readonly requests: number;
  /** Bytes of bodies that had to be searched. */
  readonly bodyBytes: number;
  readonly milliseconds: number;
}

/** What a search has looked at. */
export interface Looked {
  readonly requests: number;
  /** Bodies that had to be searched, and their bytes. */
  readonly bodies: number;
  readonly bodyBytes: number;
  /** The whole range was looked through; otherwise `next` goes on. */
  readonly complete: boolean;
  /** `index`: ids and subjects were found by index, and only those count as looked at. */
  readonly by: "scan" | "index";
}

export interface SearchedRequests {
  /** In the direction of the search. May be short or empty although `next` is there. */
  readonly ids: readonly string[];
  readonly next: string | undefined;
  readonly looked: Looked;
}

export const defaultSearchBudget: SearchBudget = { requests: 50_000, bodyBytes: 67_108_864, milliseconds: 3_000 };

const rowsPerStep = 2_000;
const fewestRowsPerStep = 50;

/**
 * Looks for requests in bounded steps, each a statement of its own with a time limit, until the page is full, the range ends or the
 * budget is spent. What lies behind `next` was not looked at, and nothing before it is missed. @throws LedgerError
 * `REQUEST_SEARCH_TIMEOUT` when not even the smallest step ends in time.
 */
export async function searchRequests(
  transact: Transact,
  table: TableName,
  search: SearchRequest,
): Promise<SearchedRequests> {
  const { filter, limit, budget = defaultSearchBudget } = search;
  const older = search.direction === "older";
  const matcher = filter.body === undefined || filter.body.length === 0 ? undefined : bodyMatcher(filter.body);
  const listed = await listedIds(transact, table, filter);
  const byIndex = listed !== undefined || filter.eventId !== undefined || filter.subject !== undefined;
  const until = performance.now() + budget.milliseconds;
  const found: string[] = [];
  let requests = 0;
  let bodies = 0;
  let bodyBytes = 0;
  let mostRows = rowsPerStep;
  // a page that fills soon is not worth reading far ahead
  let rows = Math.min(mostRows, Math.max(fewestRowsPerStep, limit));
  let isIndexed = byIndex;
  let cursor = search.cursor;
  const answer = (next: string | undefined): SearchedRequests => ({
    ids: found,
    next,
    looked: { requests, bodies, bodyBytes, complete: next === undefined, by: byIndex ? "index" : "scan" },
  });

  const whole = await extent(transact, table, search.range);
  for (;;) {
    const range = restOf(whole, cursor, older);
    if (range === undefined) return answer(undefined);
    let step: Step;
    try {
      if (listed !== undefined) step = await listStep(transact, table, { filter, range, older, listed });
      else
        step = isIndexed
          ? await indexStep(transact, table, { filter, range, older, limit: rows })
          : await scanStep(transact, table, { filter, range, older, limit: rows });
    } catch (error) {
      if (!isTimeout(error)) throw error;
      if (isIndexed) isIndexed = false;
      else if (rows > fewestRowsPerStep) {
        mostRows = Math.max(fewestRowsPerStep, Math.floor(rows / 8));
        rows = mostRows;
      } else throw new SearchTimeoutError(error);
      continue;
    }
    rows = Math.min(mostRows, rows * 2);
    requests += step.looked;
    for (const chunk of chunks(step.candidates)) {
      const kept = await narrow(transact, table, { chunk, filter, matcher });
      if (matcher !== undefined) {
        bodies += chunk.length;
        bodyBytes += chunk.reduce((sum, { size }) => sum + size, 0);
      }
      for (const { id } of kept) {
        found.push(id);
        if (found.length === limit) return answer(id);
      }
      cursor = chunk.at(-1)?.id ?? cursor;
      if (isSpent()) return answer(cursor);
    }
    if (step.last === undefined) return answer(undefined);
    cursor = step.last;
    if (isSpent()) return answer(cursor);
  }

  function isSpent(): boolean {
    return requests >= budget.requests || bodyBytes >= budget.bodyBytes || performance.now() >= until;
  }
}

/** A search was too slow even in its smallest steps. */
class SearchTimeoutError extends LedgerError {
  constructor(cause: unknown) {
    super("REQUEST_SEARCH_TIMEOUT", `the search took longer than ${statementTimeoutMs} ms`, { cause, retryable: true });
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof LedgerUnavailableError && error.details["sqlState"] === "57014";
}
