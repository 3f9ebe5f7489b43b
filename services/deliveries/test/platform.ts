import { randomUUID } from "node:crypto";
import type { NewEndpoint } from "@warren/contracts";
import {
  type Client,
  type CreatedEndpoint,
  createEndpoints,
  createOutboundDeliveries,
  deliverWebhook,
  type Endpoints,
  type OutboundDeliveries,
  parseKeyRing,
  publishWebhook,
} from "@warren/jobs";
import type { Ledger, WebhookDeliveryRecord } from "@warren/ledger";
import { createMetrics, openTracing } from "@warren/observability";
import { type World, waitFor } from "@warren/testing";
import { openTestWarren, type TestWarren, type TestWarrenOptions } from "@warren/testing/jobs";
import type { AgentsOptions } from "../src/agents.ts";
import { startDeliveries } from "../src/app.ts";
import { deliveriesConfig } from "../src/config.ts";

const payloadKeys = `test:${Buffer.alloc(32, 7).toString("base64")}`;

/** A world with a ledger and a dispatcher, and what an application uses. */
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

export async function openBench(options: Pick<TestWarrenOptions, "subscriptions"> = {}): Promise<Bench> {
  await using stack = new AsyncDisposableStack();
  const warren = stack.use(await openTestWarren(options));
  const { world, ledger, client } = warren;
  const endpoints = createEndpoints({ ledger, keyRing: parseKeyRing(payloadKeys) });
  const deliveries = createOutboundDeliveries({ ledger, client });
  const owned = stack.move();
  return {
    world,
    ledger,
    client,
    endpoints,
    deliveries,
    async serve(settings = {}, resolve) {
      owned.use(await startService(warren, settings, resolve));
    },
    endpoint: (fields) => endpoints.create(fields),
    async deliver(endpoint, fields = {}) {
      return (await client.enqueue(deliverWebhook, { endpoint, ...eventOf("invoice.paid", fields) })).id;
    },
    async publish(eventType, fields = {}) {
      return (await client.enqueue(publishWebhook, eventOf(eventType, fields))).id;
    },
    until: (id, state, timeoutMs = 30_000) =>
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
  warren: TestWarren,
  settings: Record<string, string>,
  resolve: AgentsOptions["resolve"],
): Promise<AsyncDisposable> {
  await using stack = new AsyncDisposableStack();
  const metrics = createMetrics({ service: "deliveries", version: "test" });
  const tracing = stack.use(openTracing({ service: "test", version: "test", sampleRatio: 0 }));
  const config = deliveriesConfig.parse({ ...serviceSettings, ...settings });
  const service = stack.use(
    await startDeliveries({ ...warren, config, metrics, tracing, version: "test" }, { resolve }),
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
