import type { Recipient } from "@warren/contracts";
import type { Client } from "@warren/jobs";
import { createWebhookStore, type Ledger, newId } from "@warren/ledger";
import type { Logger, Metrics, Tracing } from "@warren/observability";
import type { FastifyInstance } from "fastify";
import { clientAddressOf } from "./address/client-address.ts";
import { apiRoutes } from "./api/routes.ts";
import { createApi } from "./api/server.ts";
import { type ConnectionLimits, createConnections, defaultConnectionLimits } from "./http/connections.ts";
import { createServer } from "./http/server.ts";
import { registerWebhooks } from "./http/webhooks.ts";
import { createIntake } from "./intake/intake.ts";
import { createRejections, defaultRejectionLimits, type RejectionLimits } from "./intake/rejections.ts";
import type { CodeRule } from "./routing/route.ts";
import { createRoutes } from "./routing/routes.ts";
import { createRouting } from "./routing/routing.ts";
import type { Sources } from "./sources/source.ts";

export interface IngressOptions {
  readonly ledger: Pick<Ledger, "table" | "run" | "query" | "transaction" | "enqueueIn" | "events">;
  /** Tells workers of committed jobs, in the background. */
  readonly jobs: Pick<Client, "announce">;
  readonly sources: Sources;
  readonly trustedProxies: readonly string[];
  readonly notify: Recipient | undefined;
  readonly maxInFlight: number;
  readonly maxBufferedBytes: number;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing: Tracing;
  readonly rejectionLimits?: RejectionLimits;
  readonly connectionLimits?: ConnectionLimits;
  /** How long the store may keep a sender waiting. Default 10 s. */
  readonly storeDeadlineMs?: number;
  readonly now?: () => number;
  /** Keys of the management API. None: there is no API. */
  readonly apiKeys?: readonly string[];
  /** Rules in code. Default: those of `routing/routes.ts`. */
  readonly rules?: readonly CodeRule[];
}

/** The ingress of webhooks as an HTTP server that does not listen yet. */
export interface Ingress {
  readonly app: FastifyInstance;
  /** The management API, to listen on a port of its own; `undefined` without keys. */
  readonly api: FastifyInstance | undefined;
  /** Reads the routing rules, and from then on their changes; before it listens. */
  start(): Promise<void>;
  /** Takes no new connection, answers what is under way, closes every connection with its answer. */
  quiet(): Promise<void>;
  /** Resolves when every rejected request is written and the sandbox has ended; call it after `quiet`. */
  drain(): Promise<void>;
}

export function createIngress(options: IngressOptions): Ingress {
  const { ledger, jobs, sources, log, metrics, tracing, now = Date.now } = options;
  const deadline = options.storeDeadlineMs === undefined ? {} : { deadlineMs: options.storeDeadlineMs };
  const store = createWebhookStore({ ledger, newId, onJobs: (ready) => jobs.announce(ready), ...deadline });
  const rejections = createRejections({
    store,
    limits: options.rejectionLimits ?? defaultRejectionLimits,
    log,
    metrics,
    now,
  });
  const rules = options.rules ?? createRoutes({ notify: options.notify });
  const routing = createRouting({
    ledger,
    rules,
    announce: (ready) => jobs.announce(ready),
    providerOf: (name) => sources.get(name)?.provider,
    log,
    metrics,
    now,
  });
  const intake = createIntake({ store, router: routing.router, log, now });
  const connections = createConnections({
    limits: options.connectionLimits ?? defaultConnectionLimits,
    trustedProxies: options.trustedProxies,
    log,
    metrics,
  });
  const { app, isClosing } = createServer({ connections, log });
  registerWebhooks(app, {
    sources,
    intake,
    rejections,
    clientAddressOf: clientAddressOf(options.trustedProxies),
    newId,
    log,
    metrics,
    tracing,
    maxInFlight: options.maxInFlight,
    maxBufferedBytes: options.maxBufferedBytes,
    isClosing,
  });
  const { apiKeys = [] } = options;
  const api =
    apiKeys.length === 0
      ? undefined
      : createApi({ keys: apiKeys, routes: apiRoutes({ sources, routing }), newId, log });
  let closed: Promise<void> | undefined;
  return {
    app,
    api,
    start: () => routing.start(),
    quiet() {
      closed ??= Promise.all([app.close(), api?.close()]).then(() => undefined);
      return closed;
    },
    async drain() {
      await rejections.drain();
      await routing[Symbol.asyncDispose]();
    },
  };
}
