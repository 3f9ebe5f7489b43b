import type {
  requestDetail,
  requestFilter,
  requestView,
  webhookEventDetail,
  webhookEventView,
} from "@warren/contracts";
import type {
  EventJob,
  EventRecord,
  EventStanding,
  RequestFilter,
  RequestSummary,
  RunAnswer,
  StoredRequest,
} from "@warren/ledger";
import type { z } from "zod";
import { shownHeaders, shownQuery } from "../requests/redact.ts";

type View<Schema extends z.ZodType> = z.input<Schema>;

export function viewOfRequest(request: RequestSummary, reveal = false): View<typeof requestView> {
  const { late } = request;
  return {
    id: request.id,
    receivedAt: request.receivedAt.toISOString(),
    source: request.source,
    provider: request.provider ?? null,
    status: request.status,
    cause: request.cause ?? null,
    method: request.method,
    path: request.path,
    query: shownQuery(request.query, reveal),
    bodyBytes: request.bodyBytes,
    peerAddress: request.peerAddress ?? null,
    clientAddress: request.clientAddress ?? null,
    key: request.key ?? null,
    eventId: request.eventId ?? null,
    eventType: request.eventType ?? null,
    subject: request.subject ?? null,
    correlationId: request.correlationId,
    routing: request.routing ?? null,
    late: late === undefined ? null : { at: late.at.toISOString(), cause: late.cause },
  };
}

export function detailOfRequest(request: StoredRequest, reveal: boolean): View<typeof requestDetail> {
  const { body } = request;
  return {
    ...viewOfRequest(request, reveal),
    headers: shownHeaders(request.rawHeaders, reveal),
    body: body === undefined ? null : shownBody(body),
    event: request.event ?? null,
  };
}

/** Larger ones are downloaded: as JSON they would take several times their size of memory. */
const maxShownBytes = 4_194_304;

function shownBody(body: Buffer) {
  if (body.length > maxShownBytes) return { base64: null, text: null };
  return { base64: body.toString("base64"), text: textOf(body) };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function textOf(body: Buffer): string | null {
  try {
    return utf8.decode(body);
  } catch {
    return null;
  }
}

export function viewOfEvent(request: RequestSummary, { state, jobs }: EventStanding): View<typeof webhookEventView> {
  return {
    id: request.id,
    source: request.source,
    provider: request.provider ?? null,
    key: request.key ?? null,
    eventId: request.eventId ?? null,
    type: request.eventType ?? null,
    subject: request.subject ?? null,
    receivedAt: request.receivedAt.toISOString(),
    late: request.late !== undefined,
    correlationId: request.correlationId,
    routing: request.routing ?? null,
    state,
    jobs: jobs.map(viewOfJob),
  };
}

function viewOfJob({ id, known }: EventJob) {
  return {
    id,
    name: known?.name ?? null,
    queue: known?.queue ?? null,
    state: known?.state ?? null,
    attempt: known?.attempt ?? null,
    discarded: known?.isDiscarded ?? false,
    finishedAt: known?.finishedAt?.toISOString() ?? null,
  };
}

export function detailOfEvent(event: EventRecord): View<typeof webhookEventDetail> {
  const { request, state, jobs, routes, duplicates, runs } = event;
  return {
    ...viewOfEvent(request, { state, jobs }),
    request: viewOfRequest(request),
    routes: routes.map((route) =>
      "failed" in route
        ? { rule: route.rule, made: null, id: null, failed: route.failed }
        : { rule: route.rule, made: route.made, id: route.id, failed: null },
    ),
    duplicates: { count: duplicates.count, latest: duplicates.latest.map((one) => viewOfRequest(one)) },
    runs: runs.map((run) => ({
      id: run.id,
      at: run.at.toISOString(),
      kind: run.kind,
      replayId: run.operationId ?? null,
      by: run.by,
      reason: run.reason,
      made: [...run.made],
      revived: [...run.revived],
    })),
  };
}

export function viewOfAnswer(answer: RunAnswer) {
  if (answer.kind === "skipped") return { ...answer, cause: answer.cause ?? null };
  return { ...answer, made: [...answer.made], revived: [...answer.revived] };
}

/** A filter of the wire as the ledger takes it. */
export function filterOf(wire: Partial<z.output<typeof requestFilter>>): RequestFilter {
  const { from, before, ...rest } = wire;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return {
    ...given,
    ...(from === undefined ? {} : { from: new Date(from) }),
    ...(before === undefined ? {} : { before: new Date(before) }),
  };
}
