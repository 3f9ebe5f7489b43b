import type { RejectionCause, WebhookStatus } from "@warren/contracts";
import type { Row } from "../postgres/database.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { type EventJob, statesOfEvents } from "./event-states.ts";
import type { EventState } from "./request-filter.ts";
import type { KeptRoute } from "./routed.ts";

/** A received request, as lists show it. */
export interface RequestSummary {
  readonly id: string;
  readonly receivedAt: Date;
  readonly source: string;
  readonly provider: string | undefined;
  readonly status: WebhookStatus;
  readonly cause: RejectionCause | undefined;
  readonly method: string;
  readonly path: string;
  readonly query: string | undefined;
  readonly bodyBytes: number;
  readonly peerAddress: string | undefined;
  readonly clientAddress: string | undefined;
  readonly key: string | undefined;
  readonly eventId: string | undefined;
  readonly eventType: string | undefined;
  readonly subject: string | undefined;
  readonly correlationId: string;
  readonly routing: "unmatched" | "failed" | undefined;
  /** It was rejected first and taken after all: when, and why it had been rejected. */
  readonly late: { readonly at: Date; readonly cause: RejectionCause } | undefined;
}

/** The same with all that came. */
export interface StoredRequest extends RequestSummary {
  /** Names and values in turn, in the order and case received. */
  readonly rawHeaders: readonly string[];
  /** The exact bytes; `undefined` where they were not kept. */
  readonly body: Buffer | undefined;
  /** The event that it is or repeats. */
  readonly event: string | undefined;
  /** What each rule made when it was accepted. */
  readonly routes: readonly KeptRoute[];
}

/** An accepted dedupe key of a source, with everything that came of it. Its id is that of the request that was accepted. */
export interface EventRecord {
  readonly request: RequestSummary;
  readonly state: EventState;
  readonly jobs: readonly EventJob[];
  /** What each rule made of it, the later runs included; empty where only rules in code made jobs. */
  readonly routes: readonly KeptRoute[];
  /** Further requests of the event: how many (counted up to 1,000), and the latest 20. */
  readonly duplicates: { readonly count: number; readonly latest: readonly RequestSummary[] };
  /** What people had done to it, the oldest first. */
  readonly runs: readonly EventRun[];
}

export interface EventRun {
  readonly id: string;
  readonly at: Date;
  readonly kind: "late" | "missing" | "new";
  /** The replay that it is part of. */
  readonly operationId: string | undefined;
  readonly by: string;
  readonly reason: string;
  /** Jobs that it made, and those that it brought back. */
  readonly made: readonly string[];
  readonly revived: readonly string[];
}

const mostDuplicatesCounted = 1_000;
const duplicatesShown = 20;

const summaryColumns = `r.id, r.received_at, r.source, r.provider, r.status, r.cause, r.method, r.path, r.query, r.body_bytes,
  r.peer_address, r.client_address, r.dedupe_key, r.event_id, r.event_type, r.event_subject, r.correlation_id, r.routing, r.late_at,
  r.first_cause`;

/** In the order of the ids; those that are not there are left out. Index: webhook_requests (id). */
export async function summariesOf(
  run: RunSql,
  table: TableName,
  ids: readonly string[],
): Promise<readonly RequestSummary[]> {
  if (ids.length === 0) return [];
  const { rows } = await run(
    `select ${summaryColumns} from ${table("webhook_requests")} r where r.id = any ($1::uuid[])`,
    [ids],
  );
  const byId = new Map(rows.map((row) => [String(row["id"]), summaryOf(row)]));
  return ids.flatMap((id) => byId.get(id.toLowerCase()) ?? []);
}

/** Whole requests in the order of their ids. With `lock` nobody else changes them before the transaction ends. */
export async function storedRequests(
  run: RunSql,
  table: TableName,
  ids: readonly string[],
  { lock }: { readonly lock: boolean },
): Promise<readonly StoredRequest[]> {
  // Locks request rows in id order. Index: webhook_requests (id), webhook_dedupe (source, key).
  const { rows } = await run(
    `select ${summaryColumns}, r.headers, r.body, r.routes, (
       select request_id from ${table("webhook_dedupe")} d where d.source = r.source and d.key = r.dedupe_key
     ) as event
     from ${table("webhook_requests")} r where r.id = any ($1::uuid[]) order by r.id ${lock ? "for update of r" : ""}`,
    [ids],
  );
  return rows.map((row) => {
    const { body } = row;
    const event = row["status"] === "accepted" ? row["id"] : row["event"];
    return {
      ...summaryOf(row),
      rawHeaders: row["headers"] as readonly string[],
      body: Buffer.isBuffer(body) ? body : undefined,
      event: typeof event === "string" ? event : undefined,
      routes: keptRoutesOf(row),
    };
  });
}

/** `undefined`: no accepted request has this id. */
export async function eventRecord(run: RunSql, table: TableName, id: string): Promise<EventRecord | undefined> {
  const { rows } = await run(
    `select ${summaryColumns}, r.routes from ${table("webhook_requests")} r where r.id = $1::uuid and r.status = 'accepted'`,
    [id],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const request = summaryOf(row);
  const standing = (await statesOfEvents(run, table, [request.id])).get(request.id);
  const runs = await runsOf(run, table, [request.id]);
  // Index: webhook_requests_duplicates (source, dedupe_key, id).
  const duplicates = await run(
    `select (select count(*)::integer from (
         select from ${table("webhook_requests")} where source = $1 and dedupe_key = $2 and status = 'duplicate' limit $3
       ) counted) as count,
       array(
         select id from ${table("webhook_requests")} where source = $1 and dedupe_key = $2 and status = 'duplicate'
         order by id desc limit $4
       )::text[] as latest`,
    [request.source, request.key ?? null, mostDuplicatesCounted, duplicatesShown],
  );
  const [counted] = duplicates.rows;
  return {
    request,
    state: standing?.state ?? "unmatched",
    jobs: standing?.jobs ?? [],
    routes: allRoutes(
      keptRoutesOf(row),
      runs.map(({ routes }) => routes),
    ),
    duplicates: {
      count: Number(counted?.["count"] ?? 0),
      latest: await summariesOf(run, table, (counted?.["latest"] ?? []) as readonly string[]),
    },
    runs: runs,
  };
}

const keptRoutesOf = (row: Row): readonly KeptRoute[] => (row["routes"] as readonly KeptRoute[] | null) ?? [];

/** What rules made at first and in later runs, each once: what a run has filled in stands in the request as well. */
export function allRoutes(first: readonly KeptRoute[], runs: readonly (readonly KeptRoute[])[]): readonly KeptRoute[] {
  const known = new Set(first.map((route) => JSON.stringify(route)));
  return [...first, ...runs.flat().filter((route) => !known.has(JSON.stringify(route)))];
}

interface KeptRun extends EventRun {
  readonly eventId: string;
  readonly routes: readonly KeptRoute[];
}

/** Index: webhook_event_runs_of (event_id, id). */
export async function runsOf(run: RunSql, table: TableName, ids: readonly string[]): Promise<readonly KeptRun[]> {
  const { rows } = await run(
    `select * from ${table("webhook_event_runs")} where event_id = any ($1::uuid[]) order by event_id, id`,
    [ids],
  );
  return rows.map((row) => ({
    id: String(row["id"]),
    eventId: String(row["event_id"]),
    at: row["created_at"] as Date,
    kind: row["kind"] as EventRun["kind"],
    operationId: textOf(row["operation_id"]),
    by: String(row["requested_by"]),
    reason: String(row["reason"]),
    made: row["made"] as readonly string[],
    revived: row["revived"] as readonly string[],
    routes: keptRoutesOf(row),
  }));
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

function summaryOf(row: Row): RequestSummary {
  const { late_at: lateAt, first_cause: firstCause } = row;
  return {
    id: String(row["id"]),
    receivedAt: row["received_at"] as Date,
    source: String(row["source"]),
    provider: textOf(row["provider"]),
    status: row["status"] as WebhookStatus,
    cause: textOf(row["cause"]) as RejectionCause | undefined,
    method: String(row["method"]),
    path: String(row["path"]),
    query: textOf(row["query"]),
    bodyBytes: Number(row["body_bytes"]),
    peerAddress: textOf(row["peer_address"]),
    clientAddress: textOf(row["client_address"]),
    key: textOf(row["dedupe_key"]),
    eventId: textOf(row["event_id"]),
    eventType: textOf(row["event_type"]),
    subject: textOf(row["event_subject"]),
    correlationId: String(row["correlation_id"]),
    routing: textOf(row["routing"]) as RequestSummary["routing"],
    late: lateAt instanceof Date ? { at: lateAt, cause: String(firstCause) as RejectionCause } : undefined,
  };
}
