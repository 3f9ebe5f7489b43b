import type { RejectionCause } from "@warren/contracts";
import type { Ledger } from "../ledger.ts";
import type { RunSql } from "../postgres/sql.ts";
import { type StoredRequest, storedRequests } from "./records.ts";
import { keptRoutes, markerOf, writeJobs } from "./routed.ts";
import type { RouteEvent, RunAnswer, RunOrder, SkipReason } from "./run-events.ts";
import { storable } from "./store.ts";

/** What a provider says of an authentic request. */
export interface EventValues {
  readonly dedupeKey: string;
  readonly eventId: string | undefined;
  readonly eventType: string | undefined;
  readonly subject: string | undefined;
}

/** How a stored request is judged with what the source knows today. */
export type Judgement =
  | ({ readonly kind: "authentic" } & EventValues)
  | { readonly kind: "refused"; readonly why: "source_gone" }
  | { readonly kind: "refused"; readonly why: "still_rejected"; readonly cause?: RejectionCause };

/** Judges a stored request as of the time at which it came. Never throws. */
export type JudgeRequest = (request: StoredRequest) => Judgement;

export interface AcceptLateOptions {
  readonly ids: readonly string[];
  readonly order: Omit<RunOrder, "mode">;
  readonly judge: JudgeRequest;
  readonly route: RouteEvent;
  readonly newId: () => string;
}

interface Judged {
  readonly request: StoredRequest;
  readonly values: EventValues;
}

/**
 * Takes rejected requests that are authentic after all, in the transaction of `run`, as they would have been taken then: the same dedupe
 * keys, the same jobs. Locks request rows in id order, then dedupe keys in their order.
 */
export async function acceptLate(
  ledger: Pick<Ledger, "table" | "enqueueIn" | "events">,
  run: RunSql,
  { ids, order, judge, route, newId }: AcceptLateOptions,
): Promise<readonly RunAnswer[]> {
  const { table } = ledger;
  const answers = new Map<string, RunAnswer>();
  const skip = (id: string, why: SkipReason): void => void answers.set(id, { id, kind: "skipped", why });
  const authentic: Judged[] = [];
  for (const request of await storedRequests(run, table, ids, { lock: true })) {
    if (request.status !== "rejected") skip(request.id, "not_rejected");
    else if (request.body === undefined) skip(request.id, "body_not_kept");
    else {
      const judgement = judge(request);
      if (judgement.kind === "refused") answers.set(request.id, { ...judgement, id: request.id, kind: "skipped" });
      else authentic.push({ request, values: judgement });
    }
  }
  // routed before its key is taken: an event that cannot be routed stays rejected, and may come again
  const routed = [];
  for (const { request, values } of authentic) {
    const { dedupeKey: key, eventId, eventType, subject } = values;
    try {
      routed.push({ request, values, made: await route({ ...request, key, eventId, eventType, subject }) });
    } catch {
      skip(request.id, "route_failed");
    }
  }
  const fresh = await takeKeys(ledger, run, routed);
  const taken = routed.filter(({ request }) => fresh.has(request.id));
  const jobs = await writeJobs(
    ledger,
    run,
    taken.map(({ made }) => made.jobs),
  );
  await ledger.events.outbox.addIn(
    run,
    taken.flatMap(({ made }) => made.events ?? []),
  );
  const placeOf = new Map(taken.map(({ request }, index) => [request.id, index]));
  const rows = routed.map(({ request, values, made }) => {
    const place = placeOf.get(request.id);
    const results = place === undefined ? [] : (jobs[place] ?? []);
    const routes = place === undefined ? [] : keptRoutes(made, results);
    const events = place === undefined ? 0 : (made.events?.length ?? 0);
    const created = results.flatMap(({ id, created: isNew }) => (isNew ? [id] : []));
    if (place === undefined) skip(request.id, "duplicate");
    else {
      const failed = routes.some((one) => "failed" in one);
      answers.set(request.id, { id: request.id, kind: "changed", made: created, revived: [], events, failed });
    }
    return {
      id: request.id,
      run: newId(),
      status: place === undefined ? "duplicate" : "accepted",
      dedupe_key: values.dedupeKey,
      event_id: storable(values.eventId),
      event_type: storable(values.eventType),
      event_subject: storable(values.subject),
      job_ids: [...new Set(results.map(({ id }) => id))],
      routing: place === undefined ? undefined : markerOf(routes, results.length + events > 0),
      routes: place === undefined || made.routes === undefined ? undefined : routes,
    };
  });
  await write(ledger, run, rows, order);
  return ids.map((id) => answers.get(id.toLowerCase()) ?? { id, kind: "skipped", why: "not_found" });
}

/** The requests that are the first of their key. Index: webhook_dedupe (source, key). */
async function takeKeys(
  { table }: Pick<Ledger, "table">,
  run: RunSql,
  judged: readonly Judged[],
): Promise<ReadonlySet<string>> {
  if (judged.length === 0) return new Set();
  const { rows } = await run(
    `insert into ${table("webhook_dedupe")} (source, key, request_id, created_at)
     select distinct on (source, key) source, key, id, statement_timestamp()
     from json_to_recordset($1::text::json) as r(id uuid, source text, key text) order by source, key, id
     on conflict (source, key) do nothing
     returning request_id`,
    [
      JSON.stringify(
        judged.map(({ request, values }) => ({ id: request.id, source: request.source, key: values.dedupeKey })),
      ),
    ],
  );
  return new Set(rows.map((row) => String(row["request_id"])));
}

/** Index: webhook_requests (id). The rows are locked. */
async function write(
  { table }: Pick<Ledger, "table">,
  run: RunSql,
  rows: readonly object[],
  { operationId, by, reason }: Omit<RunOrder, "mode">,
): Promise<void> {
  if (rows.length === 0) return;
  await run(
    `with changed as (
       select * from json_to_recordset($1::text::json) as c(
         id uuid, run uuid, status text, dedupe_key text, event_id text, event_type text, event_subject text, job_ids uuid[],
         routing text, routes jsonb
       )
     ),
     noted as (
       insert into ${table("webhook_event_runs")} (id, event_id, operation_id, kind, requested_by, reason)
       select run, id, $2::uuid, 'late', $3, $4 from changed where status = 'accepted'
     )
     update ${table("webhook_requests")} r
     set status = c.status, first_cause = r.cause, cause = null, late_at = clock_timestamp(), dedupe_key = c.dedupe_key,
       event_id = c.event_id, event_type = c.event_type, event_subject = c.event_subject, job_ids = c.job_ids,
       routing = c.routing, routes = c.routes
     from changed c where r.id = c.id`,
    [JSON.stringify(rows), operationId ?? null, by, reason],
  );
}
