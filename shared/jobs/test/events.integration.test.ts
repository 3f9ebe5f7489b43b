import { eventQueue, eventsExchange, unroutableQueue } from "@warren/amqp";
import { runWithContext } from "@warren/observability";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { NonRetryableError, snooze } from "../src/errors.ts";
import { defineEvent } from "../src/events/define.ts";
import type { Event } from "../src/events/event.ts";
import { subscribe } from "../src/events/subscribe.ts";
import { type EventBench, openEventBench, orderCreated, orderPaid, shortLadderMs } from "./events-fixture.ts";

let bench: EventBench;
beforeEach(async () => {
  bench = await openEventBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const retries = { service: "billing", name: "invoices", ladderMs: shortLadderMs };
const depth = async (name: string) => (await bench.session.depth(eventQueue("billing", name)))?.messages;

test("every service that subscribed gets the event, its data typed and its context carried on", async () => {
  const got: Event[] = [];
  const totals: number[] = [];
  await bench.subscriber([
    subscribe(orderCreated, { service: "billing", name: "invoices" }, (event) => {
      totals.push(event.data.total);
      got.push(event);
    }),
    subscribe("orders.#", { service: "audit", name: "trail" }, (event) => void got.push(event)),
    subscribe(orderPaid, { service: "billing", name: "receipts" }, () => expect.unreachable()),
  ]);
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const { id, via } = await runWithContext({ correlationId: "request-1", traceparent }, () =>
    bench.client.publish(orderCreated, { orderId: "o-1", total: 9.5 }, { subject: "o-1" }),
  );
  expect(via).toBe("broker");
  await waitFor(() => got.length === 2);
  expect(totals).toEqual([9.5]);
  for (const event of got) {
    expect(event).toMatchObject({
      id,
      type: "orders.created",
      version: 1,
      data: { orderId: "o-1", total: 9.5 },
      source: "warren",
      subject: "o-1",
      attempt: 1,
      replayed: false,
      correlationId: "request-1",
    });
    expect(Math.abs(Date.now() - (event.time?.getTime() ?? 0))).toBeLessThan(10_000);
  }
  const labels = { subscription: "audit.trail", event: "orders.#", outcome: "handled" };
  await waitFor(async () => (await bench.metrics.value("warren_events_handled_total", labels)) === 1);
});

test("an event without a subscriber is published without error, counted, and parked nowhere", async () => {
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  const labels = { event: "orders.created", outcome: "unrouted" };
  expect(await bench.metrics.value("warren_events_published_total", labels)).toBe(1);
  expect((await bench.session.depth(unroutableQueue))?.messages).toBe(0);
});

test("a failed event comes back to the one subscription that failed, a rung later each time", async () => {
  const failing: { attempt: number; at: number }[] = [];
  const other: string[] = [];
  await bench.subscriber([
    subscribe(orderCreated, retries, ({ attempt }) => {
      failing.push({ attempt, at: performance.now() });
      if (attempt < 3) throw new Error("not yet");
    }),
    subscribe(orderCreated, { service: "audit", name: "trail" }, ({ id }) => void other.push(id)),
  ]);
  const { id } = await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await waitFor(() => failing.length === 3);
  expect(failing.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  const waits = failing.slice(1).map(({ at }, index) => at - (failing[index]?.at ?? 0));
  expect(waits[0]).toBeGreaterThanOrEqual(45);
  expect(waits[1]).toBeGreaterThanOrEqual(145);
  expect(other).toEqual([id]);
  await waitFor(async () => (await depth("invoices")) === 0);
});

test("an event that fails every attempt goes to the dead, with reason, error and the broker's history; its neighbours are handled", async () => {
  const handled: string[] = [];
  const attempts: number[] = [];
  await bench.subscriber([
    subscribe(orderCreated, { ...retries, attempts: 3 }, ({ data, attempt }) => {
      if (data.orderId !== "poison") return void handled.push(data.orderId);
      attempts.push(attempt);
      throw new Error("boom");
    }),
  ]);
  const { id } = await bench.client.publish(orderCreated, { orderId: "poison", total: 1 });
  await bench.client.publish(orderCreated, { orderId: "fine", total: 1 });
  const dead = await waitFor(() => bench.takeDead(), { what: "the dead event" });
  expect(attempts).toEqual([1, 2, 3]);
  expect(handled).toEqual(["fine"]);
  expect(JSON.parse(dead.body)).toEqual({ orderId: "poison", total: 1 });
  expect(dead.headers).toMatchObject({
    cloudEvents_id: id,
    cloudEvents_type: "orders.created",
    "x-warren-reason": "EVENT_ATTEMPTS_EXHAUSTED",
    "x-warren-error": "EVENT_FAILED: boom",
    "x-warren-attempt": 3,
  });
  expect(dead.headers["x-warren-death"]).toMatchObject([
    { reason: "expired", queue: "warren.retry.150ms" },
    { reason: "expired", queue: "warren.retry.50ms" },
  ]);
});

test.for([
  {
    why: "the handler says that no attempt can succeed",
    error: () => new NonRetryableError("no such order"),
    reason: "JOB_NOT_RETRYABLE",
  },
])("an event is dead at once when $why", async ({ error, reason }) => {
  await bench.subscriber([
    subscribe(orderCreated, retries, () => {
      throw error();
    }),
  ]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  expect((await waitFor(() => bench.takeDead())).headers).toMatchObject({
    "x-warren-reason": reason,
    "x-warren-attempt": 1,
  });
});

test("a snoozed event comes back without having used up an attempt", async () => {
  const attempts: number[] = [];
  await bench.subscriber([
    subscribe(orderCreated, { ...retries, attempts: 1 }, ({ attempt }) => {
      attempts.push(attempt);
      if (attempts.length < 3) snooze(60);
    }),
  ]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await waitFor(() => attempts.length === 3);
  expect(attempts).toEqual([1, 1, 1]);
});

async function publishRaw(message: {
  routingKey?: string;
  body: string;
  messageId?: string;
  headers?: Record<string, unknown>;
}) {
  await bench.session.withConfirmChannel(async (channel) => {
    const { routingKey = "orders.created", body, ...properties } = message;
    channel.publish(eventsExchange, routingKey, Buffer.from(body), { persistent: true, ...properties });
    await channel.waitForConfirms();
  });
}

test.for([
  { what: "no JSON", body: "<order/>", messageId: "m-1", reason: "EVENT_MALFORMED" },
  { what: "no id", body: "{}", messageId: undefined, reason: "EVENT_MALFORMED" },
  { what: "data that do not fit", body: '{"orderId":7,"total":1}', messageId: "m-1", reason: "EVENT_DATA_INVALID" },
])("a message with $what is dead at once, its body kept as it was", async ({ body, messageId, reason }) => {
  await bench.subscriber([subscribe(orderCreated, retries, () => expect.unreachable())]);
  await publishRaw({ body, ...(messageId === undefined ? {} : { messageId }) });
  const dead = await waitFor(() => bench.takeDead());
  expect(dead.headers).toMatchObject({ "x-warren-reason": reason });
  expect(dead.body).toBe(body);
});

test("a publisher that knows only AMQP is understood: message id, routing key and JSON are enough", async () => {
  const got: Event[] = [];
  await bench.subscriber([subscribe(orderCreated, retries, (event) => void got.push(event))]);
  await publishRaw({ body: '{"orderId":"o-1","total":1}', messageId: "m-1" });
  await waitFor(() => got.length === 1);
  expect(got[0]).toMatchObject({ id: "m-1", type: "orders.created", version: undefined, source: "", attempt: 1 });
});

test("an event of a newer version waits on the ladder for a subscriber that takes it", async () => {
  const newer = defineEvent({ type: "orders.created", version: 2, schema: z.object({ order: z.string() }) });
  const older = await bench.subscriber([subscribe(orderCreated, retries, () => expect.unreachable())]);
  await bench.client.publish(newer, { order: "o-1" });
  const labels = { subscription: "billing.invoices", outcome: "retried" };
  await waitFor(async () => ((await bench.metrics.value("warren_events_handled_total", labels)) ?? 0) >= 1);
  await older[Symbol.asyncDispose]();
  const got: string[] = [];
  await bench.subscriber([
    subscribe([orderCreated, newer], retries, (event) => void got.push("order" in event.data ? event.data.order : "")),
  ]);
  await waitFor(() => got.length === 1);
  expect(got).toEqual(["o-1"]);
});

test("no more handlers run than the concurrency, and all events are handled", async () => {
  let running = 0;
  let most = 0;
  let handled = 0;
  // none ends before three have run at once
  const { promise: full, resolve: isFull } = Promise.withResolvers<void>();
  await bench.subscriber([
    subscribe(orderCreated, { ...retries, concurrency: 3 }, async () => {
      running += 1;
      most = Math.max(most, running);
      if (most === 3) isFull();
      await full;
      await new Promise((resolve) => setTimeout(resolve, 2));
      running -= 1;
      handled += 1;
    }),
  ]);
  await Promise.all(
    Array.from({ length: 60 }, (_, n) => bench.client.publish(orderCreated, { orderId: `${n}`, total: n })),
  );
  await waitFor(() => handled === 60);
  expect(most).toBe(3);
});

test("a handler past its time is aborted, and its event tried again", async () => {
  const reasons: unknown[] = [];
  await bench.subscriber([
    subscribe(orderCreated, { ...retries, timeoutMs: 40, hardTimeoutMs: 120 }, async ({ signal, attempt }) => {
      if (attempt > 1) return;
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    }),
  ]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await waitFor(async () => (await bench.metrics.value("warren_events_handled_total", { outcome: "handled" })) === 1);
  reasons.push(...bench.log.lines.filter(({ msg }) => msg === "event not handled; tried again later"));
  expect(reasons).toMatchObject([{ err: { code: "EVENT_TIMEOUT" }, attempt: 1 }]);
});

test("quiet and drain let a handler finish, hand back the rest, and lose nothing", async () => {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const first: string[] = [];
  const one = await bench.subscriber([
    subscribe(orderCreated, { ...retries, concurrency: 1, prefetch: 20 }, async ({ data }) => {
      first.push(data.orderId);
      await gate;
    }),
  ]);
  for (const orderId of ["a", "b", "c"]) await bench.client.publish(orderCreated, { orderId, total: 1 });
  await waitFor(() => first.length === 1);
  await one.quiet();
  open();
  expect(await one.drain(AbortSignal.timeout(30_000))).toBe(true);
  await one[Symbol.asyncDispose]();
  expect(first).toEqual(["a"]);
  const rest: { orderId: string; attempt: number }[] = [];
  await bench.subscriber([
    subscribe(orderCreated, retries, ({ data, attempt }) => void rest.push({ orderId: data.orderId, attempt })),
  ]);
  await waitFor(() => rest.length === 2);
  expect(rest.map(({ orderId }) => orderId).sort()).toEqual(["b", "c"]);
  expect(rest.every(({ attempt }) => attempt === 1)).toBe(true);
});

test("a handler that does not end in time is told so, and its event goes to another process without losing an attempt", async () => {
  const aborted: unknown[] = [];
  const stuck = await bench.subscriber([
    subscribe(orderCreated, retries, async ({ signal }) => {
      signal.addEventListener("abort", () => aborted.push(signal.reason));
      await new Promise(() => undefined);
    }),
  ]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await waitFor(async () => (await bench.metrics.value("warren_subscription_running")) === 1);
  await stuck.quiet();
  expect(await stuck.drain(AbortSignal.timeout(50))).toBe(false);
  await stuck[Symbol.asyncDispose]();
  expect(aborted).toMatchObject([{ code: "SUBSCRIBER_STOPPING" }]);
  const attempts: number[] = [];
  await bench.subscriber([subscribe(orderCreated, retries, ({ attempt }) => void attempts.push(attempt))]);
  await waitFor(() => attempts.length === 1);
  expect(attempts).toEqual([1]);
});

test("an event of an older version is brought to the current one, and one that cannot be is dead with a clear code", async () => {
  const third = defineEvent({
    type: "orders.created",
    version: 3,
    schema: z.object({ id: z.string(), cents: z.number() }),
    upcast: {
      1: (old: { orderId: string; total: number }) => ({ id: old.orderId, total: old.total }),
      2: (old: { id: string; total: number }) => {
        if (old.total < 0) throw new Error("no negative totals");
        return { id: old.id, cents: old.total * 100 };
      },
    },
  });
  const got: unknown[] = [];
  await bench.subscriber([subscribe(third, retries, ({ data, version }) => void got.push([version, data]))]);
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 2 });
  await waitFor(() => got.length === 1);
  expect(got).toEqual([[1, { id: "o-1", cents: 200 }]]);
  await bench.client.publish(orderCreated, { orderId: "o-2", total: -1 });
  expect((await waitFor(() => bench.takeDead())).headers).toMatchObject({ "x-warren-reason": "PAYLOAD_UPCAST_FAILED" });
});
