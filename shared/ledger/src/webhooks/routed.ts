import type { EnqueueResult, NewJob } from "../job.ts";
import type { Ledger } from "../ledger.ts";
import { plainArray, textArray } from "../postgres/arrays.ts";
import { retrying } from "../postgres/retrying.ts";
import type { RunSql, TableName } from "../postgres/sql.ts";
import { requestInput } from "./statements.ts";
import type { AcceptedRequest, RequestRow } from "./store.ts";
import { bodyParts, requestValues } from "./values.ts";

/** What a rule made of an event, by the place in the request's `jobs` or `events`; or why it made nothing. */
export type RouteOutcome =
  | { readonly rule: string; readonly made: "job" | "delivery"; readonly job: number }
  | { readonly rule: string; readonly made: "event"; readonly event: number }
  | { readonly rule: string; readonly failed: { readonly code: string; readonly message: string } };

/** The same as it is kept: `webhook_requests.routes`. */
export type KeptRoute =
  | { readonly rule: string; readonly made: "job" | "delivery" | "event"; readonly id: string }
  | { readonly rule: string; readonly failed: { readonly code: string; readonly message: string } };

/** `undefined`: every rule did its work. */
export type RoutingMarker = "unmatched" | "failed" | undefined;

/** An accepted request whose jobs or events take more than one statement. */
export interface RoutedEntry {
  readonly row: RequestRow;
  readonly request: AcceptedRequest;
}

export interface Written {
  readonly fresh: ReadonlySet<string>;
  /** Jobs that were made and that their workers may hear of. */
  readonly ready: readonly { readonly id: string; readonly queue: string }[];
}

export type RoutedLedger = Pick<Ledger, "table" | "transaction" | "enqueueIn" | "events">;

/** Whether the one statement of plain requests can carry it. */
export function isPlain(request: AcceptedRequest, isRare: (job: NewJob) => boolean): boolean {
  if (request.routes !== undefined || (request.events !== undefined && request.events.length > 0)) return false;
  return !request.jobs.some((job) => job.unique !== undefined || job.key !== undefined || isRare(job));
}

/**
 * Keeps requests with what rules made of them, in one transaction: dedupe keys, jobs of any kind, events for the outbox, and at last the
 * rows, which name the jobs that there are. A conflict with another transaction has undone everything and is tried again.
 */
export function createRoutedWrite(ledger: RoutedLedger): (entries: readonly RoutedEntry[]) => Promise<Written> {
  const sql = routedStatements(ledger.table);
  const { undone } = retrying({ retries: 4, delayMs: 10 });

  async function write(run: RunSql, entries: readonly RoutedEntry[]): Promise<Written> {
    const requests = entries.map(({ request }) => request);
    const { rows } = await run(sql.takeKeys, [
      plainArray(requests.map(({ id }) => id)),
      textArray(requests.map(({ source }) => source)),
      textArray(requests.map(({ dedupeKey }) => dedupeKey)),
    ]);
    const fresh = new Set(rows.map((row) => String(row["request_id"])));
    const accepted = requests.filter(({ id }) => fresh.has(id));
    const made = await writeJobs(
      ledger,
      run,
      accepted.map(({ jobs }) => jobs),
    );
    await ledger.events.outbox.addIn(
      run,
      accepted.flatMap(({ events = [] }) => events),
    );
    const madeOf = new Map(accepted.map(({ id }, index) => [id, made[index] ?? []]));
    await run(sql.store, [
      ...requestValues(entries.map(({ row }) => row)),
      Buffer.concat(bodyParts(entries.map(({ row }) => row))),
      JSON.stringify(requests.map((request) => rowOf(request, madeOf.get(request.id)))),
    ]);
    return { fresh, ready: accepted.flatMap((request, index) => readyOf(request.jobs, made[index] ?? [])) };
  }

  return (entries) => undone(() => ledger.transaction((run) => write(run, entries)));
}

/**
 * Enqueues the jobs of several requests, in their transaction. Unique jobs before those with ids of somebody's choice, in every process: so
 * two transactions never wait for each other's keys in a circle.
 */
export async function writeJobs(
  { enqueueIn }: Pick<Ledger, "enqueueIn">,
  run: RunSql,
  groups: readonly (readonly NewJob[])[],
): Promise<readonly (readonly EnqueueResult[])[]> {
  const all = groups.flat();
  const places = [...all.keys()];
  const hasOwnId = (place: number): boolean => {
    const job = all[place];
    return job?.key !== undefined || (job?.id !== undefined && job.idIsFresh !== true);
  };
  const results = new Map<number, EnqueueResult>();
  for (const part of [places.filter((place) => !hasOwnId(place)), places.filter(hasOwnId)]) {
    const written = await enqueueIn(
      run,
      part.flatMap((place) => all[place] ?? []),
    );
    for (const [index, result] of written.entries()) results.set(part[index] ?? -1, result);
  }
  let from = 0;
  return groups.map((jobs) =>
    jobs.map((job) => {
      const result = results.get(from);
      from += 1;
      if (result === undefined) throw new RangeError(`the ledger answered nothing for a job "${job.name}"`);
      return result;
    }),
  );
}

export function readyOf(
  jobs: readonly NewJob[],
  results: readonly EnqueueResult[],
): readonly { readonly id: string; readonly queue: string }[] {
  return results.flatMap((result, index) => {
    const queue = jobs[index]?.queue;
    const isReady = result.created && result.state === "ready" && result.waits !== true;
    return isReady && queue !== undefined ? [{ id: result.id, queue }] : [];
  });
}

export function keptRoutes(
  { routes = [], events = [] }: Pick<AcceptedRequest, "routes" | "events">,
  made: readonly EnqueueResult[],
): readonly KeptRoute[] {
  return routes.map((route) => {
    if ("failed" in route) return route;
    const id = route.made === "event" ? events[route.event]?.eventId : made[route.job]?.id;
    return { rule: route.rule, made: route.made, id: String(id) };
  });
}

export function markerOf(routes: readonly KeptRoute[], madeAnything: boolean): RoutingMarker {
  if (routes.some((route) => "failed" in route)) return "failed";
  return madeAnything ? undefined : "unmatched";
}

/** What only a routed row has; a duplicate made nothing. */
function rowOf(request: AcceptedRequest, made: readonly EnqueueResult[] | undefined): unknown {
  if (made === undefined) return { status: "duplicate", job_ids: [] };
  const routes = keptRoutes(request, made);
  return {
    status: "accepted",
    job_ids: [...new Set(made.map(({ id }) => id))],
    routing: markerOf(routes, made.length > 0 || (request.events?.length ?? 0) > 0),
    routes: request.routes === undefined ? undefined : routes,
  };
}

function routedStatements(table: TableName) {
  return {
    // Takes keys in their order, as the plain statement does. Index: webhook_dedupe (source, key).
    takeKeys: `insert into ${table("webhook_dedupe")} (source, key, request_id, created_at)
      select distinct on (source, key) source, key, id, statement_timestamp()
      from unnest($1::uuid[], $2::text[], $3::text[]) as r(id, source, key) order by source, key, id
      on conflict (source, key) do nothing
      returning request_id`,

    // Inserts only.
    store: `insert into ${table("webhook_requests")} (
        id, received_at, body_bytes, source, provider, status, method, path, query, peer_address, client_address,
        dedupe_key, event_id, event_type, event_subject, correlation_id, job_ids, headers, body, routing, routes
      )
      select q.id, statement_timestamp(), q.body_bytes, q.source, q.provider, m.status, q.method, q.path, q.query, q.peer_address,
        q.client_address, q.dedupe_key, q.event_id, q.event_type, q.event_subject, q.correlation_id, m.job_ids, q.headers,
        substring($21::bytea from q.at for q.size), m.routing, m.routes
      from ${requestInput}
      join rows from (
        json_to_recordset($22::text::json) as (status text, job_ids uuid[], routing text, routes jsonb)
      ) with ordinality as m(status, job_ids, routing, routes, ordinal) on m.ordinal = q.ordinal`,
  } as const;
}
