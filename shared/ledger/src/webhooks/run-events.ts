import type { RejectionCause } from "@warren/contracts";
import type { EnqueueResult } from "../job.ts";
import type { Ledger } from "../ledger.ts";
import type { RunSql } from "../postgres/sql.ts";
import { type EventStanding, statesOfEvents } from "./event-states.ts";
import { type Missing, missingOf, type Routed } from "./missing.ts";
import { allRoutes, runsOf, type StoredRequest, storedRequests } from "./records.ts";
import { type KeptRoute, keptRoutes, markerOf, writeJobs } from "./routed.ts";

/**
 * `missing`: jobs that are dead come back under their ids, and what routing would make today and the event does not have is made; what
 * succeeded, waits, runs or was cancelled is left alone. `new`: everything is made again, under new ids.
 */
export type RunMode = "missing" | "new";

export interface RunOrder {
  readonly mode: RunMode;
  readonly by: string;
  readonly reason: string;
  /** The replay that it is part of. */
  readonly operationId: string | undefined;
}

/** What became of the wish to run an event again, or to take a rejected request. */
export type RunAnswer =
  | {
      readonly id: string;
      readonly kind: "changed";
      readonly made: readonly string[];
      readonly revived: readonly string[];
      /** Events for the broker that were made. */
      readonly events: number;
      /** A rule failed on it; what could be done was done. */
      readonly failed: boolean;
    }
  /** It was left alone: why. */
  | {
      readonly id: string;
      readonly kind: "skipped";
      readonly why: SkipReason;
      /** Of a request that is rejected again. */
      readonly cause?: RejectionCause;
    };

export type SkipReason =
  /** No accepted request has this id (any more). */
  | "not_found"
  /** Everything that it should have is there and has succeeded. */
  | "succeeded"
  /** Its jobs wait or run. */
  | "unfinished"
  /** Somebody cancelled or discarded its jobs. */
  | "cancelled"
  /** Routing makes nothing of it. */
  | "unmatched"
  /** Its jobs are past retention, so nobody knows what is missing; `new` runs it all the same. */
  | "forgotten"
  /** Routing threw. */
  | "route_failed"
  /** A dead job cannot come back: its flow cannot be retried, or another job holds its unique key. */
  | "job_held"
  | "body_not_kept"
  /** Rejected again; of requests that are verified again. */
  | "still_rejected"
  /** It is not rejected (any more). */
  | "not_rejected"
  /** The source is not configured, or has no current secret. */
  | "source_gone"
  /** The event was accepted before under another request; this one is its duplicate now. */
  | "duplicate";

export type RunningLedger = Pick<Ledger, "table" | "enqueueIn" | "events" | "control">;

/** Throws when routing fails as a whole. */
export type RouteEvent = (request: StoredRequest) => Promise<Routed>;

interface Planned {
  readonly request: StoredRequest;
  readonly revive: readonly string[];
  readonly make: Missing;
  /** Why nothing is to be done, when nothing is. */
  readonly otherwise: SkipReason;
}

/**
 * Runs events again, in the transaction of `run`: nothing is there before it commits, and no other run of the same event meets it. Locks
 * request rows in id order, then what the retry of dead jobs locks, then what enqueuing locks.
 */
export async function runEvents(
  ledger: RunningLedger,
  run: RunSql,
  { ids, order, route, newId }: RunEventsOptions,
): Promise<readonly RunAnswer[]> {
  const { table } = ledger;
  const stored = await storedRequests(run, table, ids, { lock: true });
  const requests = stored.filter(({ status }) => status === "accepted");
  const known = requests.map(({ id }) => id);
  const standings = await statesOfEvents(run, table, known);
  const runs = await runsOf(run, table, known);
  const planned: Planned[] = [];
  for (const request of requests) {
    const own = runs.filter(({ eventId }) => eventId === request.id);
    const routes = allRoutes(
      request.routes,
      own.map((one) => one.routes),
    );
    planned.push(await plan({ request, standing: standings.get(request.id), routes, mode: order.mode, route }));
  }
  const revived = await revive(
    ledger,
    run,
    planned.flatMap((one) => one.revive),
  );
  const made = await writeJobs(
    ledger,
    run,
    planned.map(({ make }) => make.jobs),
  );
  await ledger.events.outbox.addIn(
    run,
    planned.flatMap(({ make }) => make.events ?? []),
  );
  const answers = planned.map((one, index) => answerOf(one, made[index] ?? [], revived));
  await keep(ledger, run, { planned, answers, made, order, newId });
  const answerById = new Map(answers.map((answer) => [answer.id, answer]));
  return ids.map((id) => answerById.get(id.toLowerCase()) ?? { id, kind: "skipped", why: "not_found" });
}

export interface RunEventsOptions {
  readonly ids: readonly string[];
  readonly order: RunOrder;
  readonly route: RouteEvent;
  readonly newId: () => string;
}

const nothing: Missing = { jobs: [], present: [] };

async function plan({
  request,
  standing,
  routes,
  mode,
  route,
}: {
  readonly request: StoredRequest;
  readonly standing: EventStanding | undefined;
  readonly routes: readonly KeptRoute[];
  readonly mode: RunMode;
  readonly route: RouteEvent;
}): Promise<Planned> {
  const jobs = standing?.jobs ?? [];
  const revivable = jobs.filter(({ known }) => known?.state === "dead" && !known.isDiscarded).map(({ id }) => id);
  const reviveOnly = (otherwise: SkipReason): Planned => ({
    request,
    revive: mode === "missing" ? revivable : [],
    make: nothing,
    otherwise,
  });
  if (request.body === undefined) return reviveOnly("body_not_kept");
  let routed: Routed;
  try {
    routed = await route(request);
  } catch {
    return reviveOnly("route_failed");
  }
  if (mode === "new") {
    const isEmpty = routed.jobs.length === 0 && (routed.events?.length ?? 0) === 0;
    return { request, revive: [], make: { ...routed, present: [] }, otherwise: isEmpty ? "unmatched" : "job_held" };
  }
  const missing = missingOf(routed, jobs, routes);
  if (missing === "unknown") return reviveOnly("forgotten");
  return { request, revive: revivable, make: missing, otherwise: whyNothing(standing) };
}

function whyNothing(standing: EventStanding | undefined): SkipReason {
  if (standing === undefined) return "unmatched";
  // dead ones are revived; one that is not was discarded
  return standing.state === "dead" ? "cancelled" : standing.state;
}

async function revive(ledger: RunningLedger, run: RunSql, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const answers = ids.length === 0 ? [] : await ledger.control.retry(ids, {}, run);
  return new Set(answers.flatMap(({ id, kind }) => (kind === "retried" ? [id] : [])));
}

function answerOf(
  { request: { id }, revive: asked, make, otherwise }: Planned,
  made: readonly EnqueueResult[],
  revived: ReadonlySet<string>,
): RunAnswer {
  const back = asked.filter((job) => revived.has(job));
  const created = made.flatMap((result) => (result.created ? [result.id] : []));
  const events = make.events?.length ?? 0;
  const failed = make.routes?.some((route) => "failed" in route) === true || otherwise === "route_failed";
  if (back.length + created.length + events > 0) {
    return { id, kind: "changed", made: created, revived: back, events, failed };
  }
  if (failed) return { id, kind: "skipped", why: "route_failed" };
  return { id, kind: "skipped", why: asked.length + make.jobs.length > 0 ? "job_held" : otherwise };
}

interface Kept {
  readonly planned: readonly Planned[];
  readonly answers: readonly RunAnswer[];
  readonly made: readonly (readonly EnqueueResult[])[];
  readonly order: RunOrder;
  readonly newId: () => string;
}

/**
 * Writes down what was done. What an event lacked is written into its request, as if it had been made at first, so that nobody makes it
 * again; what was made anew stands in the run alone. Index: webhook_requests (id).
 */
async function keep({ table }: RunningLedger, run: RunSql, kept: Kept): Promise<void> {
  const { order, newId } = kept;
  const isNew = order.mode === "new";
  const done = kept.planned.flatMap(({ request, make }, index) => {
    const answer = kept.answers[index];
    if (answer?.kind !== "changed") return [];
    const now = keptRoutes(make, kept.made[index] ?? []);
    const before = request.routes.filter((route) => "made" in route);
    const routes = [...before, ...make.present, ...now];
    return [{ request, id: newId(), answer, now, routes: routes.length === 0 ? undefined : routes }];
  });
  if (done.length === 0) return;
  await run(
    `insert into ${table("webhook_event_runs")} (id, event_id, operation_id, kind, requested_by, reason, made, revived, routes)
     select id, event, $2::uuid, $3, $4, $5, made, revived, routes
     from json_to_recordset($1::text::json) as r(id uuid, event uuid, made uuid[], revived uuid[], routes jsonb)`,
    [
      JSON.stringify(
        done.map(({ id, request, answer, now }) => ({
          id,
          event: request.id,
          made: answer.made,
          revived: answer.revived,
          routes: now.length === 0 ? undefined : now,
        })),
      ),
      order.operationId ?? null,
      order.mode,
      order.by,
      order.reason,
    ],
  );
  const filled = done.filter(({ answer }) => !isNew && answer.made.length + answer.events > 0);
  if (filled.length === 0) return;
  await run(
    `update ${table("webhook_requests")} r set job_ids = r.job_ids || c.made, routes = c.routes, routing = c.routing
     from json_to_recordset($1::text::json) as c(id uuid, made uuid[], routes jsonb, routing text) where r.id = c.id`,
    [
      JSON.stringify(
        filled.map(({ request, answer, routes }) => ({
          id: request.id,
          made: answer.made,
          routes,
          routing: markerOf(routes ?? [], true),
        })),
      ),
    ],
  );
}
