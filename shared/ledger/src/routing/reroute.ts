import type { NewOutboxEvent } from "../events/outbox.ts";
import type { NewJob } from "../job.ts";
import type { Ledger } from "../ledger.ts";
import { retrying } from "../postgres/retrying.ts";
import {
  type KeptRoute,
  keptRoutes,
  markerOf,
  type RouteOutcome,
  type RoutingMarker,
  readyOf,
  writeJobs,
} from "../webhooks/routed.ts";

/** A stored request, as routing it again needs it. */
export interface RoutableRequest {
  readonly id: string;
  readonly source: string;
  readonly provider: string | undefined;
  readonly status: string;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  /** `undefined` where it was not kept. */
  readonly body: Buffer | undefined;
  readonly eventId: string | undefined;
  readonly eventType: string | undefined;
  readonly eventSubject: string | undefined;
  readonly correlationId: string;
  readonly receivedAt: Date;
  readonly jobIds: readonly string[];
  readonly routing: RoutingMarker;
  /** `undefined`: rules in code made its jobs and nothing else happened. */
  readonly routes: readonly KeptRoute[] | undefined;
  /** Runs of the event since then: see `run-events.ts`. */
  readonly runs: {
    readonly count: number;
    readonly routes: readonly KeptRoute[];
    /** One of them made jobs and reported no rules: rules in code did all they had to do. */
    readonly hasUnreported: boolean;
  };
}

export interface MarkedFilter {
  readonly routing: "unmatched" | "failed";
  readonly source: string | undefined;
  readonly receivedFrom: Date | undefined;
  readonly receivedBefore: Date | undefined;
  /** Id of the last one of the page before. */
  readonly afterId: string | undefined;
  readonly limit: number;
}

export interface Rerouted {
  readonly made: readonly KeptRoute[];
  readonly routing: RoutingMarker;
  /** Jobs that were made and that their workers may hear of. */
  readonly ready: readonly { readonly id: string; readonly queue: string }[];
}

/** Routes stored events again. */
export interface Rerouting {
  find(id: string): Promise<RoutableRequest | undefined>;
  /** Ids of accepted requests with a marker, oldest first. */
  marked(filter: MarkedFilter): Promise<readonly string[]>;
  /**
   * Adds what rules made now, and replaces the failures of before by those of now, with one commit. `changed`: somebody else routed it since
   * it was read, and nothing was written.
   */
  write(
    request: RoutableRequest,
    routed: {
      readonly jobs: readonly NewJob[];
      readonly events: readonly NewOutboxEvent[];
      readonly routes: readonly RouteOutcome[];
    },
  ): Promise<Rerouted | "changed">;
}

export function createRerouting({
  table,
  query,
  transaction,
  enqueueIn,
  events: { outbox },
}: Pick<Ledger, "table" | "query" | "transaction" | "enqueueIn" | "events">): Rerouting {
  const requests = table("webhook_requests");
  const { undone } = retrying({ retries: 4, delayMs: 10 });
  const runs = table("webhook_event_runs");
  // Primary key; index: webhook_event_runs_of.
  const find = `select q.id, q.source, q.provider, q.status, q.path, q.query, q.headers, q.body, q.event_id, q.event_type, q.event_subject, q.correlation_id,
      q.received_at, q.job_ids, q.routing, q.routes, r.count as runs, r.has_unreported,
      (select jsonb_agg(route) from ${runs} e, jsonb_array_elements(e.routes) route where e.event_id = q.id) as run_routes
    from ${requests} q cross join lateral (
      select count(*)::int as count, coalesce(bool_or(routes is null and made <> '{}'), false) as has_unreported
      from ${runs} where event_id = q.id
    ) r
    where q.id = $1`;
  // After the lock, so that it sees what those did who held it before.
  const countRuns = `select count(*)::int as count from ${runs} where event_id = $1`;
  // Index: webhook_requests_routing, per source where one is given.
  const marked = `select id from ${requests}
    where routing = $1 and routing is not null and status = 'accepted' and ($2::text is null or source = $2)
      and ($3::timestamptz is null or received_at >= $3) and ($4::timestamptz is null or received_at < $4)
      and ($5::uuid is null or id > $5)
    order by id limit $6`;
  // Locks the request: two who route it at once see each other. Primary key.
  const lock = `select job_ids, routes from ${requests} where id = $1 for update`;
  const update = `update ${requests} set job_ids = $2::uuid[], routing = $3, routes = $4::text::jsonb where id = $1`;

  return {
    find: async (id) => {
      const [row] = (await query(find, [id])).rows;
      return row === undefined ? undefined : requestOf(row);
    },
    marked: async ({ routing, source, receivedFrom, receivedBefore, afterId, limit }) => {
      const values = [routing, source ?? null, receivedFrom ?? null, receivedBefore ?? null, afterId ?? null, limit];
      return (await query(marked, values)).rows.map((row) => String(row["id"]));
    },
    write: (request, routed) =>
      undone(() =>
        transaction(async (run) => {
          const [row] = (await run(lock, [request.id])).rows;
          const count = Number((await run(countRuns, [request.id])).rows[0]?.["count"]);
          if (row === undefined || count !== request.runs.count || !isSame(request, row)) return "changed";
          const [made = []] = await writeJobs({ enqueueIn }, run, [routed.jobs]);
          await outbox.addIn(run, routed.events);
          const now = keptRoutes(routed, made);
          const routes = [...(request.routes ?? []).filter((route) => "made" in route), ...now];
          const jobIds = [...new Set([...request.jobIds, ...made.map(({ id }) => id)])];
          const routing = markerOf(routes, jobIds.length + count > 0 || routes.some((route) => "made" in route));
          await run(update, [request.id, jobIds, routing ?? null, JSON.stringify(routes)]);
          return { made: now, routing, ready: readyOf(routed.jobs, made) };
        }),
      ),
  };
}

function isSame({ jobIds, routes }: RoutableRequest, row: Readonly<Record<string, unknown>>): boolean {
  return JSON.stringify([jobIds, routes ?? null]) === JSON.stringify([row["job_ids"], row["routes"] ?? null]);
}

function requestOf(row: Readonly<Record<string, unknown>>): RoutableRequest {
  const text = (column: string): string | undefined => {
    const value = row[column];
    return typeof value === "string" ? value : undefined;
  };
  const search = text("query");
  const body = row["body"];
  return {
    id: String(row["id"]),
    source: String(row["source"]),
    provider: text("provider"),
    status: String(row["status"]),
    url: search === undefined ? String(row["path"]) : `${String(row["path"])}?${search}`,
    // sound: written by us, and held to it by the columns' types
    rawHeaders: row["headers"] as readonly string[],
    body: Buffer.isBuffer(body) ? body : undefined,
    eventId: text("event_id"),
    eventType: text("event_type"),
    eventSubject: text("event_subject"),
    correlationId: String(row["correlation_id"]),
    receivedAt: row["received_at"] as Date,
    jobIds: row["job_ids"] as readonly string[],
    routing: text("routing") as RoutingMarker,
    routes: (row["routes"] ?? undefined) as readonly KeptRoute[] | undefined,
    runs: {
      count: Number(row["runs"]),
      routes: (row["run_routes"] ?? []) as readonly KeptRoute[],
      hasUnreported: row["has_unreported"] === true,
    },
  };
}
