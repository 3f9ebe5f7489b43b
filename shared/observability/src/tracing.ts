import {
  type Attributes,
  context,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  RandomIdGenerator,
  type SpanExporter,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { currentContext, runWithContext } from "./context.ts";
import { formatTraceparent, parseTraceparent, type TraceContext } from "./traceparent.ts";

const kinds = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

export interface SpanOptions {
  readonly kind: keyof typeof kinds;
  /** `traceparent` of the parent. Default: the current context's, unless there are links; then the span begins a trace of its own. */
  readonly parent?: string | undefined;
  /** `traceparent`s of the creators of what is processed. The span is sampled if one of them is. */
  readonly links?: readonly (string | undefined)[];
  readonly attributes?: Attributes;
}

/** The span of a running function. All methods do nothing when it is not sampled. */
export interface WarrenSpan {
  readonly sampled: boolean;
  /** To send on: in message headers, ledger rows, requests. `undefined` only when tracing is off and nothing came in. */
  readonly traceparent: string | undefined;
  set(attributes: Attributes): void;
  /** Marks the span as failed without throwing. A thrown error does so by itself. */
  fail(error: unknown): void;
}

export interface TracingOptions {
  readonly service: string;
  readonly version?: string;
  /** OTLP/HTTP base, such as `http://collector:4318`. Without it no span is ever made; `traceparent`s are still passed on. */
  readonly endpoint?: string | undefined;
  /** The share of new traces that is recorded, 0 to 1. A trace that somebody else began follows its creator's decision. */
  readonly sampleRatio: number;
  /** Takes the spans instead of OTLP. For tests. */
  readonly exporter?: SpanExporter;
  /** Default `Math.random`. */
  readonly random?: () => number;
}

export interface Tracing extends AsyncDisposable {
  readonly enabled: boolean;
  /** Runs `fn` inside a span; its context carries the span's `traceparent`. What `fn` throws is recorded and thrown on. */
  span<T>(name: string, options: SpanOptions, fn: (span: WarrenSpan) => T | Promise<T>): Promise<T>;
}

/**
 * Opens tracing: own thin spans over the OpenTelemetry SDK, created only when sampled, since most jobs are not and the
 * stock instrumentation costs a third of the throughput. Disposal sends what is left, for at most 3 s.
 */
export function openTracing(options: TracingOptions): Tracing {
  const exporter = options.exporter ?? (options.endpoint === undefined ? undefined : otlp(options.endpoint));
  if (exporter === undefined) return disabledTracing;
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      "service.name": options.service,
      ...(options.version === undefined ? {} : { "service.version": options.version }),
    }),
    sampler: new AlwaysOnSampler(),
    spanProcessors: [new BatchSpanProcessor({ exporter, exportTimeoutMillis: shutdownMs })],
  });
  const tracer = provider.getTracer("warren");
  const ids = new RandomIdGenerator();
  const random = options.random ?? Math.random;

  return {
    enabled: true,
    async span(name, spanOptions, fn) {
      const links = (spanOptions.links ?? []).map(parseTraceparent).filter((link) => link !== undefined);
      const inherited = spanOptions.links === undefined ? currentContext()?.traceparent : undefined;
      const parent = parseTraceparent(spanOptions.parent ?? inherited);
      if (!isSampled(parent, links, () => random() < options.sampleRatio)) {
        const follow = parent ?? { traceId: ids.generateTraceId(), spanId: ids.generateSpanId(), sampled: false };
        return runUnder(formatTraceparent(follow), fn);
      }
      const outer = context.active();
      const span = tracer.startSpan(
        name,
        {
          kind: kinds[spanOptions.kind],
          root: parent === undefined,
          links: links.map((link) => ({ context: remote(link) })),
          ...(spanOptions.attributes === undefined ? {} : { attributes: spanOptions.attributes }),
        },
        parent === undefined ? outer : trace.setSpanContext(outer, remote(parent)),
      );
      const own = span.spanContext();
      const traceparent = formatTraceparent({ traceId: own.traceId, spanId: own.spanId, sampled: true });
      const fail = (error: unknown) => {
        span.setAttribute("error.type", errorType(error));
        span.setStatus({ code: SpanStatusCode.ERROR });
      };
      const handle: WarrenSpan = {
        sampled: true,
        traceparent,
        set: (attributes) => void span.setAttributes(attributes),
        fail,
      };
      try {
        // under the global context too, so that an application's own instrumentation nests inside our span
        return await context.with(trace.setSpan(outer, span), () =>
          runWithContext({ ...currentContext(), traceparent }, () => fn(handle)),
        );
      } catch (error) {
        fail(error);
        throw error;
      } finally {
        span.end();
      }
    },
    async [Symbol.asyncDispose]() {
      await provider.shutdown().catch(() => undefined);
    },
  };
}

const shutdownMs = 3_000;

const disabledTracing: Tracing = {
  enabled: false,
  span: (_name, options, fn) => runUnder(options.parent ?? currentContext()?.traceparent ?? options.links?.[0], fn),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

function otlp(endpoint: string): SpanExporter {
  return new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, "")}/v1/traces`, timeoutMillis: shutdownMs });
}

/** A parent decides; else the creators; else the ratio. So a trace is recorded as a whole or not at all. */
function isSampled(parent: TraceContext | undefined, links: readonly TraceContext[], chance: () => boolean): boolean {
  if (parent !== undefined) return parent.sampled;
  if (links.length > 0) return links.some((link) => link.sampled);
  return chance();
}

async function runUnder<T>(traceparent: string | undefined, fn: (span: WarrenSpan) => T | Promise<T>): Promise<T> {
  const handle: WarrenSpan = { sampled: false, traceparent, set: () => undefined, fail: () => undefined };
  const outer = currentContext();
  if (traceparent === outer?.traceparent) return fn(handle);
  return runWithContext({ ...outer, traceparent }, () => fn(handle));
}

function remote(place: TraceContext): SpanContext {
  return {
    traceId: place.traceId,
    spanId: place.spanId,
    traceFlags: place.sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    isRemote: true,
  };
}

/** The stable code of an error, or its class; never its message, which may hold anything. */
function errorType(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const code: unknown = Reflect.get(error, "code");
  return typeof code === "string" ? code : error.name;
}
