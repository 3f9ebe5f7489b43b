import type { RejectionCause } from "@warren/contracts";
import { formatTraceparent, type Logger, type Metrics, parseTraceparent, type Tracing } from "@warren/observability";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ClientAddressOf } from "../address/client-address.ts";
import type { Intake, Outcome } from "../intake/intake.ts";
import type { Rejections } from "../intake/rejections.ts";
import { methods } from "../sources/provider.ts";
import type { Source, Sources } from "../sources/source.ts";
import { answerFailed, answerLimited, answerOverloaded, answerRejected, answerTaken } from "./answers.ts";
import { announcedBytes, type BufferBudget, discardBody, readBody } from "./body.ts";
import { correlationOf } from "./correlation.ts";
import { oweAnswer } from "./owed.ts";

export interface WebhooksOptions {
  readonly sources: Sources;
  readonly intake: Intake;
  readonly rejections: Rejections;
  readonly clientAddressOf: ClientAddressOf;
  readonly newId: () => string;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  /** Requests that have come whole and are handled at once; more are answered 503. */
  readonly maxInFlight: number;
  /** Bytes of bodies held at once; more are answered 503. */
  readonly maxBufferedBytes: number;
  /** Whether the server lets its connections go: each is closed with the answer that it still waits for. */
  readonly isClosing: () => boolean;
}

interface WebhookParams {
  readonly Params: { readonly source: string };
}

/** What shares one limit and one metric label: names that nobody configured must not become time series. */
const unknownSource = "(unknown)";

const ackBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Adds `/webhooks/:source`, under every method that some provider uses, to a server whose content-type parser leaves the body alone. */
export function registerWebhooks(app: FastifyInstance, options: WebhooksOptions): void {
  const { sources, intake, rejections, clientAddressOf, newId, log, tracing, maxInFlight, isClosing } = options;
  const budget: BufferBudget = { maxBytes: options.maxBufferedBytes, usedBytes: 0 };
  const requests = options.metrics.counter({
    name: "warren_webhook_requests_total",
    help: "Webhooks by source and what became of them",
    labels: ["source", "outcome"],
  });
  const ackSeconds = options.metrics.histogram({
    name: "warren_webhook_ack_seconds",
    help: "Time from a webhook's headers to its answer, for accepted and duplicate ones",
    labels: ["source"],
    buckets: ackBuckets,
  });
  let inFlight = 0;

  async function receive(request: FastifyRequest<WebhookParams>, reply: FastifyReply): Promise<FastifyReply> {
    const startedAt = performance.now();
    const id = newId();
    const correlationId = correlationOf(request.raw.headers["x-correlation-id"], id);
    const source = sources.get(request.params.source);
    if (source === undefined) {
      discardBody(request.raw);
      if (sources.mayKnow(request.params.source)) {
        requests.inc({ source: unknownSource, outcome: "failed" });
        return answerFailed(reply, "source", correlationId);
      }
      return rejectUnknown(request, reply, { id, correlationId });
    }
    if (inFlight >= maxInFlight) return overloaded(request, reply, source, correlationId);

    const reading = await readBody(request.raw, source.maxBodyBytes, budget);
    if (reading.kind === "no-room") return overloaded(request, reply, source, correlationId);
    const known = { id, correlationId, source };
    if (reading.kind !== "whole") {
      const cause = reading.kind === "too-large" ? "body_too_large" : "body_incomplete";
      discardBody(request.raw);
      return reject(request, reply, { ...known, cause, body: undefined, bodyBytes: reading.receivedBytes });
    }
    oweAnswer(request.raw.socket, reply.raw);
    const { body } = reading;
    // bodies that trickle in count only now, else slow senders could keep out all others
    inFlight += 1;
    try {
      if (inFlight > maxInFlight) return overloaded(request, reply, source, correlationId);
      const cause = unsupported(request, source);
      if (cause === "method_not_allowed") reply.header("allow", source.methods.join(", "));
      if (cause !== undefined) return reject(request, reply, { ...known, cause, body, bodyBytes: body.length });
      const outcome = await traced(request, { id, correlationId, source, body });
      if (outcome.kind === "rejected") {
        return reject(request, reply, { ...known, cause: outcome.cause, body, bodyBytes: body.length });
      }
      requests.inc({ source: source.name, outcome: outcome.kind });
      if (outcome.kind === "failed") return answerFailed(reply, outcome.why, correlationId);
      if (outcome.kind === "limited") return answerLimited(reply, outcome.retryAfterMs, correlationId);
      ackSeconds.observe({ source: source.name }, (performance.now() - startedAt) / 1000);
      if (isClosing()) reply.header("connection", "close");
      if (outcome.kind === "challenge") {
        record(request, { ...known, eventType: outcome.eventType, body, bodyBytes: body.length });
      }
      return answerTaken(reply, outcome, { ack: source.ack, id, correlationId });
    } finally {
      budget.usedBytes -= body.length;
      inFlight -= 1;
    }
  }

  interface Whole {
    readonly id: string;
    readonly correlationId: string;
    readonly source: Source;
    readonly body: Buffer;
  }

  function traced(request: FastifyRequest, whole: Whole): Promise<Outcome> {
    const header = request.raw.headers["traceparent"];
    const parent = typeof header === "string" ? parseTraceparent(header) : undefined;
    const trace = parent === undefined ? undefined : formatTraceparent(parent);
    if (!tracing.enabled) return take(request, whole, trace);
    return tracing.span("POST /webhooks/:source", { kind: "server", parent: trace }, async (span) => {
      const outcome = await take(request, whole, span.traceparent);
      span.set({ "warren.source": whole.source.name, "warren.outcome": outcome.kind });
      return outcome;
    });
  }

  function take({ raw }: FastifyRequest, whole: Whole, trace: string | undefined): Promise<Outcome> {
    const peerAddress = raw.socket.remoteAddress;
    return intake({
      id: whole.id,
      source: whole.source,
      request: {
        method: raw.method ?? "",
        url: raw.url ?? "",
        rawHeaders: raw.rawHeaders,
        body: whole.body,
        clientAddress: clientAddressOf(peerAddress, forwardedFor(raw.headers["x-forwarded-for"])),
        peerAddress,
      },
      peerAddress,
      origin: { correlationId: whole.correlationId, trace },
    });
  }

  interface Known {
    readonly id: string;
    readonly correlationId: string;
    readonly source: Source | undefined;
    readonly bodyBytes: number;
  }
  interface Refusal extends Known {
    readonly cause: RejectionCause;
    readonly body: Buffer | undefined;
  }
  interface Answered extends Known {
    readonly eventType: string | undefined;
    readonly body: Buffer;
  }

  function reject(
    request: FastifyRequest,
    reply: FastifyReply,
    refusal: Refusal & { readonly source: Source },
  ): FastifyReply {
    requests.inc({ source: refusal.source.name, outcome: "rejected" });
    record(request, refusal);
    return answerRejected(reply, refusal.cause, refusal.correlationId);
  }

  function rejectUnknown(
    request: FastifyRequest,
    reply: FastifyReply,
    ids: { readonly id: string; readonly correlationId: string },
  ): FastifyReply {
    requests.inc({ source: unknownSource, outcome: "rejected" });
    record(request, { ...ids, source: undefined, cause: "source_unknown", body: undefined, bodyBytes: 0 });
    return answerRejected(reply, "source_unknown", ids.correlationId);
  }

  function record(request: FastifyRequest, { source, ...kept }: Refusal | Answered): void {
    const { raw } = request;
    const peerAddress = raw.socket.remoteAddress;
    rejections.record(source?.name ?? unknownSource, {
      ...kept,
      source: source?.name ?? askedFor(request),
      provider: source?.provider,
      method: raw.method ?? "",
      url: raw.url ?? "",
      rawHeaders: raw.rawHeaders,
      peerAddress,
      clientAddress: clientAddressOf(peerAddress, forwardedFor(raw.headers["x-forwarded-for"])),
    });
  }

  function overloaded(
    request: FastifyRequest,
    reply: FastifyReply,
    source: Source,
    correlationId: string,
  ): FastifyReply {
    discardBody(request.raw);
    requests.inc({ source: source.name, outcome: "overloaded" });
    return answerOverloaded(reply, correlationId);
  }

  /** Fastify judges the form of `Content-Type` before any handler; all else that fails here is ours. */
  function failed(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const id = newId();
    const correlationId = correlationOf(request.raw.headers["x-correlation-id"], id);
    const source = sources.get(askedFor(request));
    discardBody(request.raw);
    if (error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
      if (source === undefined) return rejectUnknown(request, reply, { id, correlationId });
      const bodyBytes = announcedBytes(request.raw);
      return reject(request, reply, {
        id,
        correlationId,
        source,
        cause: "content_type_unsupported",
        body: undefined,
        bodyBytes,
      });
    }
    requests.inc({ source: source?.name ?? unknownSource, outcome: "failed" });
    log.error({ err: error, correlationId }, "a webhook could not be handled and is put off");
    return answerFailed(reply, "internal", correlationId);
  }

  const errorHandler = (error: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    void failed(error, request, reply);
  };
  app.route<WebhookParams>({ method: [...methods], url: "/webhooks/:source", errorHandler, handler: receive });
}

/** Names that stand in URLs of scanners are kept for people to see, not whole novels. */
const maxAskedLength = 100;

function askedFor({ params }: FastifyRequest): string {
  const name = typeof params === "object" && params !== null && "source" in params ? params.source : undefined;
  return typeof name === "string" ? name.slice(0, maxAskedLength).toWellFormed().replaceAll("\u0000", "\uFFFD") : "";
}

function unsupported({ raw }: FastifyRequest, source: Source): RejectionCause | undefined {
  if (!source.enabled) return "source_disabled";
  if (!source.methods.some((method) => method === raw.method)) return "method_not_allowed";
  // Node takes off the last coding only, which is chunked: what stands before it is left on the body
  const coding = raw.headers["transfer-encoding"];
  if (coding !== undefined && coding.toLowerCase() !== "chunked") return "encoding_unsupported";
  const encoding = raw.headers["content-encoding"];
  if (encoding !== undefined && encoding.toLowerCase() !== "identity") return "encoding_unsupported";
  return source.takesContentType(raw.headers["content-type"]) ? undefined : "content_type_unsupported";
}

function forwardedFor(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(",") : header;
}
