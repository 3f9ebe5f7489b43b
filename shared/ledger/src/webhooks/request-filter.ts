import type { WebhookStatus } from "@warren/contracts";
import { LedgerDataError } from "../errors.ts";
import { uuidBound } from "../uuid-bounds.ts";
import { type BodyCondition, bodyMatcher } from "./body-path.ts";
import { type IdRange, largestId, smallestId } from "./id-range.ts";

/** How the jobs of an event stand, taken together: the first that fits. */
export const eventStates = ["dead", "unfinished", "cancelled", "forgotten", "succeeded", "unmatched"] as const;
export type EventState = (typeof eventStates)[number];

/** Which requests: all that is given must hold. */
export interface RequestFilter {
  readonly ids?: readonly string[];
  readonly source?: string;
  readonly provider?: string;
  readonly statuses?: readonly WebhookStatus[];
  /** Why they were rejected: a cause, see `rejectionCause` of the contracts. */
  readonly causes?: readonly string[];
  /** The event's type; with `*` at the end, its beginning. */
  readonly type?: string;
  readonly eventId?: string;
  readonly subject?: string;
  /** The dedupe key of the event. Found at once together with `source`. */
  readonly key?: string;
  readonly correlationId?: string;
  readonly clientAddress?: string;
  /** `unmatched`: nothing came of the event; `failed`: a rule failed on it. */
  readonly routing?: "unmatched" | "failed";
  /** Received at this instant or later. */
  readonly from?: Date;
  /** Received before this instant. */
  readonly before?: Date;
  /** How the jobs stand; only accepted requests have such. */
  readonly states?: readonly EventState[];
  /** What the JSON of the body must hold. */
  readonly body?: readonly BodyCondition[];
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
export const isId = (text: string): boolean => uuid.test(text);
const mostIds = 1_000;

/** A filter that can be evaluated and kept; throws `LEDGER_DATA_INVALID` for one that cannot. */
export function checkFilter(filter: RequestFilter): void {
  if (filter.ids !== undefined && (filter.ids.length > mostIds || !filter.ids.every(isId))) {
    throw new LedgerDataError(`"ids": at most ${mostIds} ids of requests`);
  }
  for (const time of [filter.from, filter.before]) {
    if (time !== undefined && Number.isNaN(time.getTime()))
      throw new LedgerDataError("a time of the filter is no date");
  }
  bodyMatcher(filter.body ?? []);
}

const bound = (time: Date | undefined, otherwise: string): string =>
  time === undefined ? otherwise : uuidBound(Math.min(Math.max(0, time.getTime()), 2 ** 48 - 1));

/** The ids of the time that the filter names: a UUIDv7 carries the millisecond of its request. */
export function rangeOf({ from, before }: RequestFilter): IdRange {
  return { from: bound(from, smallestId), before: bound(before, largestId) };
}

/** A filter as a JSON value, which is how operations keep it. */
export const requestFilterJson = (filter: RequestFilter): string => JSON.stringify(filter);

/** The reverse, of what `requestFilterJson` wrote. */
export function parseKeptFilter(kept: unknown): RequestFilter {
  const filter = kept as Omit<RequestFilter, "from" | "before"> & { readonly from?: string; readonly before?: string };
  const { from, before, ...rest } = filter;
  return {
    ...rest,
    ...(from === undefined ? {} : { from: new Date(from) }),
    ...(before === undefined ? {} : { before: new Date(before) }),
  };
}

/** The conditions of a filter on columns of rows `r`, its JSON text being parameter `$n`. Ids, times, body and states are not among them. */
export function requestFilterSql(parameter: number): string {
  const f = `($${parameter}::text::jsonb)`;
  const text = (field: string, column: string): string =>
    `(${f} -> '${field}' is null or ${column} = ${f} ->> '${field}')`;
  const oneOf = (field: string, column: string): string =>
    `(${f} -> '${field}' is null or ${f} -> '${field}' ? ${column})`;
  return [
    text("source", "r.source"),
    text("provider", "r.provider"),
    oneOf("statuses", "r.status"),
    oneOf("causes", "coalesce(r.cause, '')"),
    `(${f} -> 'type' is null or r.event_type = ${f} ->> 'type'
        or (right(${f} ->> 'type', 1) = '*' and starts_with(r.event_type, left(${f} ->> 'type', -1))))`,
    text("eventId", "r.event_id"),
    text("subject", "r.event_subject"),
    text("key", "r.dedupe_key"),
    text("correlationId", "r.correlation_id"),
    text("clientAddress", "r.client_address"),
    text("routing", "r.routing"),
    `(${f} -> 'states' is null or r.status = 'accepted')`,
  ].join("\n      and ");
}
