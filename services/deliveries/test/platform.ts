import { randomUUID } from "node:crypto";
import { jobsExchange, jobsTopology, openSession, type Publisher } from "@warren/amqp";
import type { NewEndpoint } from "@warren/contracts";
import {
  type Client,
  type CreatedEndpoint,
  createClient,
  createEndpoints,
  createOutboundDeliveries,
  deliverWebhook,
  type Endpoints,
  type OutboundDeliveries,
  parseKeyRing,
  publishWebhook,
} from "@warren/jobs";
import { type Ledger, migrate, openLedger, type WebhookDeliveryRecord } from "@warren/ledger";
import { createLogger, createMetrics, openTracing } from "@warren/observability";
import { createWorld, type World, waitFor } from "@warren/testing";
import type { AgentsOptions } from "../src/agents.ts";
import { startDeliveries } from "../src/app.ts";
import { deliveriesConfig } from "../src/config.ts";

const payloadKeys = `test:${Buffer.alloc(32, 7).toString("base64")}`;

/** A migrated world with a ledger, a pump in the dispatcher's place, and what an application uses. */
export interface Bench extends AsyncDisposable {
  readonly world: World;
  readonly ledger: Ledger;
  readonly client: Client;
  readonly endpoints: Endpoints;
  readonly deliveries: OutboundDeliveries;
  /** Starts the service in this process. */
  serve(settings?: Record<string, string>, resolve?: AgentsOptions["resolve"]): Promise<void>;
  /** An endpoint with these fields. */
  endpoint(fields: NewEndpoint): Promise<CreatedEndpoint>;
  /** One event straight to an endpoint; the delivery's id. */
  deliver(endpoint: string, fields?: Record<string, unknown>): Promise<string>;
  /** One event to all who want it. */
  publish(eventType: string, fields?: Record<string, unknown>): Promise<string>;
  /** Waits until a delivery is in a state. */
  until(id: string, state: WebhookDeliveryRecord["state"], timeoutMs?: number): Promise<WebhookDeliveryRecord>;
}

export async function openBench(): Promise<Bench> {
  await using stack = new AsyncDisposableStack();
  const log = createLogger({ service: "test", level: process.env["TEST_LOG"] === undefined ? "silent" : "info" });
  const world = stack.use(await createWorld());
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
  const ledger = stack.use(await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log }));
  const session = stack.use(await openSession({ urls: [world.amqpUrl], name: "bench", log }));
  const metrics = createMetrics({ service: "client", version: "test" });
  const client = stack.use(createClient({ ledger, log, metrics }));
  const endpoints = createEndpoints({ ledger, keyRing: parseKeyRing(payloadKeys) });
  const deliveries = createOutboundDeliveries({ ledger, client });
  await session.declare(jobsTopology({ queues: ["deliveries"] }));
  stack.use(startPump(ledger, session.publisher()));
  const owned = stack.move();
  return {
    world,
    ledger,
    client,
    endpoints,
    deliveries,
    async serve(settings = {}, resolve) {
      owned.use(await startService({ ledger, world }, settings, resolve));
    },
    endpoint: (fields) => endpoints.create(fields),
    async deliver(endpoint, fields = {}) {
      return (await client.enqueue(deliverWebhook, { endpoint, ...eventOf("invoice.paid", fields) })).id;
    },
    async publish(eventType, fields = {}) {
      return (await client.enqueue(publishWebhook, eventOf(eventType, fields))).id;
    },
    until: (id, state, timeoutMs = 10_000) =>
      waitFor(
        async () => {
          const [found] = (await deliveries.list({ before: after(id) }, 1)).filter((one) => one.id === id);
          return found?.state === state ? found : undefined;
        },
        { what: `delivery ${id} to be ${state}`, timeoutMs, intervalMs: 50 },
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const eventOf = (eventType: string, fields: Record<string, unknown>) => ({
  eventType,
  eventId: randomUUID(),
  createdAt: "2026-11-22T10:00:00.000Z",
  payload: { amount: 17 },
  ...fields,
});

async function startService(
  { ledger, world }: Pick<Bench, "ledger" | "world">,
  settings: Record<string, string>,
  resolve: AgentsOptions["resolve"],
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const log = createLogger({ service: "test", level: process.env["TEST_LOG"] === undefined ? "silent" : "info" });
  const metrics = createMetrics({ service: "deliveries", version: "test" });
  const tracing = stack.use(openTracing({ service: "test", version: "test", sampleRatio: 0 }));
  const session = stack.use(await openSession({ urls: [world.amqpUrl], name: "service", log }));
  const config = deliveriesConfig.parse({ ...serviceSettings, ...settings });
  const service = stack.use(
    await startDeliveries({ config, ledger, session, log, metrics, tracing, version: "test" }, { resolve }),
  );
  stack.defer(async () => {
    await service.quiet?.();
  });
  return stack.move();
}

/** Quick where production is slow. */
export const serviceSettings = {
  WARREN_PAYLOAD_KEYS: payloadKeys,
  WARREN_DELIVERY_ALLOW: "127.0.0.0/8",
  WARREN_DELIVERY_RETRY: "50ms,50ms,50ms,50ms,50ms,50ms,50ms,50ms,50ms",
  WARREN_DELIVERY_BREAKER_OPEN_MS: "200",
  WARREN_DELIVERY_BREAKER_MAX_OPEN_MS: "300",
} as const;

/** The next id: a list before it begins with the given one. */
function after(id: string): string {
  const number = BigInt(`0x${id.replaceAll("-", "")}`) + 1n;
  return number
    .toString(16)
    .padStart(32, "0")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** What the dispatcher does, as far as these tests need it: governed and due jobs, breakers' probes, releases after they close. */
function startPump(ledger: Ledger, publisher: Publisher): AsyncDisposable {
  const stop = new AbortController();
  const round = async () => {
    const released = [...(await ledger.takeDue({ limit: 500 })), ...(await ledger.takeUnsent({ limit: 500 }))];
    for (const breaker of await ledger.breakers()) {
      if (breaker.probeDue) released.push(...(await ledger.probeBreaker(breaker.name)).released);
      if (breaker.state.kind === "closed" && breaker.holding) {
        released.push(...(await ledger.releaseHeld({ name: breaker.name, limit: 500 })));
      }
    }
    for (const { queue, governed } of await ledger.limits.waiting()) {
      if (governed) released.push(...(await ledger.limits.release({ queue, limit: 500 })).jobs);
    }
    for (const { id, queue } of released) {
      const body = Buffer.from(JSON.stringify({ v: 1, jobs: [id] }));
      await publisher.publish({ exchange: jobsExchange, routingKey: queue, body, messageId: randomUUID() });
    }
  };
  const running = (async () => {
    while (!stop.signal.aborted) {
      await round();
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
