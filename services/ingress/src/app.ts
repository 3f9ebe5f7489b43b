import type { Recipient } from "@warren/contracts";
import { type Client, createClient, createEndpoints, createOutboundDeliveries, type KeyRing } from "@warren/jobs";
import { createSourceLimits, createSourceStore, createWebhookStore, type Ledger, newId } from "@warren/ledger";
import type { Logger, Metrics, Tracing } from "@warren/observability";
import type { FastifyInstance } from "fastify";
import { clientAddressOf } from "./address/client-address.ts";
import type { ApiRoute } from "./api/route.ts";
import { apiRoutes } from "./api/routes.ts";
import { createApi } from "./api/server.ts";
import { type ConnectionLimits, createConnections, defaultConnectionLimits } from "./http/connections.ts";
import { createServer } from "./http/server.ts";
import { registerWebhooks } from "./http/webhooks.ts";
import { createIntake } from "./intake/intake.ts";
import { createRejections, defaultRejectionLimits, type RejectionLimits } from "./intake/rejections.ts";
import { createRequests } from "./requests/requests.ts";
import type { CodeRule } from "./routing/route.ts";
import { createRoutes } from "./routing/routes.ts";
import { createRouting } from "./routing/routing.ts";
import { measureSources } from "./sources/gauges.ts";
import { createLiveSources } from "./sources/live.ts";
import { createSourceManager } from "./sources/manage.ts";
import type { SourceMap } from "./sources/source.ts";

export interface IngressOptions {
  readonly ledger: Ledger;
  /** Tells workers of committed jobs, in the background. */
  readonly jobs: Pick<Client, "announce">;
  /** Those of the configuration; the others come from the database. */
  readonly sources: SourceMap;
  /** The configured ones anew, if a file of theirs has changed. Default: they stay. */
  readonly reloadSources?: () => SourceMap | undefined;
  /** Seals the secrets of sources and endpoints that are made over the API, and opens them. */
  readonly keyRing?: KeyRing | undefined;
  /** How often changes of sources are asked for. Default 1 s. */
  readonly sourcePollMs?: number;
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
  /** Entries of WARREN_API_KEYS. None: there is no API. */
  readonly apiKeys?: readonly string[];
  /** Rules in code. Default: those of `routing/routes.ts`. */
  readonly rules?: readonly CodeRule[];
}

/** The ingress of webhooks as an HTTP server that does not listen yet. */
export interface Ingress {
  readonly app: FastifyInstance;
  /** The management API, to listen on a port of its own; `undefined` without keys. */
  readonly api: FastifyInstance | undefined;
  /**
   * Reads the routing rules and the sources of the database, and from then on their changes, and goes on with replays where there is an
   * API; before it listens.
   */
  start(): Promise<void>;
  /** Takes no new connection, answers what is under way, closes every connection with its answer. */
  quiet(): Promise<void>;
  /** Resolves when every rejected request is written and the sandbox has ended; call it after `quiet`. */
  drain(): Promise<void>;
}

export function createIngress(options: IngressOptions): Ingress {
  const { ledger, jobs, keyRing, log, metrics, tracing, now = Date.now } = options;
  const deadline = options.storeDeadlineMs === undefined ? {} : { deadlineMs: options.storeDeadlineMs };
  const store = createWebhookStore({ ledger, newId, onJobs: (ready) => jobs.announce(ready), ...deadline });
  const rejections = createRejections({
    store,
    limits: options.rejectionLimits ?? defaultRejectionLimits,
    log,
    metrics,
    now,
  });
  const sourceStore = createSourceStore(ledger);
  const sources = createLiveSources({
    configured: options.sources,
    reload: options.reloadSources ?? (() => undefined),
    store: sourceStore,
    keyRing,
    log,
    pollMs: options.sourcePollMs ?? 1_000,
    now,
  });
  measureSources(metrics, sources, now);
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
  const intake = createIntake({
    store,
    limits: createSourceLimits({ ledger, ...deadline }),
    router: routing.router,
    log,
    now,
  });
  const { loop, ...requests } = createRequests({
    ledger,
    sourceOf: (name) => sources.get(name),
    router: routing.router,
    log,
    metrics,
    now,
  });
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
  const api = apiKeys.length === 0 ? undefined : createApi({ keys: apiKeys, routes: managementRoutes(), newId, log });

  function managementRoutes(): readonly ApiRoute[] {
    // the queue of deliveries is governed: the dispatcher lets its jobs go, whoever enqueued them
    const outbound = createClient({ ledger, log, metrics });
    return apiRoutes({
      ...requests,
      endpoints: createEndpoints({ ledger, keyRing }),
      deliveries: createOutboundDeliveries({ ledger, client: outbound }),
      outbound,
      newId,
      routing,
      manager: createSourceManager({ store: sourceStore, live: sources, keyRing, newId, now, log }),
      live: sources,
      testing: { inject: (request) => app.inject({ ...request, headers: { ...request.headers } }), newId, now },
      log,
    });
  }

  let closed: Promise<void> | undefined;
  return {
    app,
    api,
    async start() {
      await Promise.all([routing.start(), sources.start()]);
      // where people ask for replays: a process without the API may be configured for something else
      if (api !== undefined) loop.start();
    },
    quiet() {
      closed ??= Promise.all([app.close(), api?.close(), loop.stop(), sources[Symbol.asyncDispose]()]).then(
        () => undefined,
      );
      return closed;
    },
    async drain() {
      await rejections.drain();
      await routing[Symbol.asyncDispose]();
    },
  };
}
