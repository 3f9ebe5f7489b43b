import { startTcpProxy, testServers, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { ReceivedDelivery } from "../src/delivery.ts";
import {
  type ConsumeOptions,
  type Delivery,
  deadQueue,
  jobQueue,
  jobsExchange,
  jobsTopology,
  openSession,
  type SessionState,
} from "../src/index.ts";
import { brokerPort, contents, fill, makeQueue, type Opened, opened, silent } from "./opened.ts";

/** Consumes, keeps every delivery, and waits until the broker has agreed. */
async function collect(at: Opened, options: Omit<ConsumeOptions, "onMessage"> & Partial<ConsumeOptions>) {
  const deliveries: Delivery[] = [];
  const consumer = await at.session.consume({ onMessage: (delivery) => void deliveries.push(delivery), ...options });
  await consumer.consuming({ signal: AbortSignal.timeout(30_000) });
  const nth = (count: number) => waitFor(() => deliveries.length >= count, { what: `${count} deliveries` });
  return { consumer, deliveries, nth };
}

const names = (deliveries: readonly Delivery[]): string[] => deliveries.map(({ messageId }) => String(messageId));

const sinceOf = ({ publish, consume }: SessionState) => [publish, consume].map((state) => JSON.stringify(state));

/** Has the broker close both connections, and waits for the new ones. */
async function reconnected(at: Opened): Promise<void> {
  await waitFor(async () => (await at.world.management.connections(at.world.vhost)).length === 2);
  const before = sinceOf(at.session.state());
  await at.world.management.closeConnections(at.world.vhost);
  await waitFor(() => sinceOf(at.session.state()).every((since, index) => since !== before[index]));
  await at.session.connected({ signal: AbortSignal.timeout(30_000) });
}

const fieldsOf = (delivery: Delivery | undefined) =>
  delivery instanceof ReceivedDelivery ? delivery.message.fields : undefined;
const tagOf = (delivery: Delivery | undefined) => fieldsOf(delivery)?.deliveryTag;
const consumerTagOf = (delivery: Delivery | undefined) => fieldsOf(delivery)?.consumerTag;

test("a delivery tells what was sent, and an ack removes it", async () => {
  await using at = await opened();
  await at.session.declare(jobsTopology({ queues: ["a"] }));
  const { consumer, deliveries, nth } = await collect(at, { queue: jobQueue("a"), prefetch: 5 });
  await using publisher = at.session.publisher();
  await publisher.publish({
    exchange: jobsExchange,
    routingKey: "a",
    body: Buffer.from("{}"),
    messageId: "1",
    correlationId: "c",
    type: "t",
    headers: { h: 1 },
  });
  await nth(1);
  expect(deliveries[0]).toMatchObject({
    messageId: "1",
    body: Buffer.from("{}"),
    correlationId: "c",
    type: "t",
    contentType: "application/json",
    headers: { h: 1 },
    exchange: jobsExchange,
    routingKey: "a",
    redelivered: false,
    deliveryCount: 0,
    settled: false,
  });
  deliveries[0]?.ack();
  await consumer[Symbol.asyncDispose]();
  expect(await contents(at.session, jobQueue("a"))).toEqual([]);
});

test("settled in any order, exactly the acked messages are gone from the queue", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1", "2", "3", "4", "5", "6"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 10 });
  await nth(6);
  for (const index of [5, 1, 2, 4]) deliveries[index]?.ack();
  await consumer[Symbol.asyncDispose]();
  expect(await contents(at.session, "q")).toEqual(["1", "4"]);
});

test("a slow message does not use up the prefetch window", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["slow", "2", "3", "4", "5", "6"]);
  const seen: string[] = [];
  await using consumer = await at.session.consume({
    queue: "q",
    prefetch: 2,
    onMessage: (delivery) => {
      seen.push(String(delivery.messageId));
      if (delivery.messageId !== "slow") delivery.ack();
    },
  });
  await waitFor(() => seen.length === 6);
  expect(consumer.unsettled).toBe(1);
});

test("an ack after a reconnect never settles another message that has the same delivery tag", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await using other = await openSession({ urls: [at.world.amqpUrl], name: "other", log: silent });
  await other.connected();
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1", "2", "3"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 3 });
  await nth(3);
  await proxy.refuse();
  const taken: Delivery[] = [];
  const holder = await other.consume({ queue: "q", prefetch: 3, onMessage: (delivery) => void taken.push(delivery) });
  await waitFor(() => taken.length === 3);
  await fill(other, "q", ["4", "5", "6"]);
  await proxy.heal();
  await nth(6);
  expect(deliveries.map(tagOf)).toEqual([1, 2, 3, 1, 2, 3]);
  deliveries[1]?.ack();
  await consumer[Symbol.asyncDispose]();
  await holder[Symbol.asyncDispose]();
  expect([...(await contents(other, "q"))].sort()).toEqual(["1", "2", "3", "4", "5", "6"]);
});

test("settled while the channel was gone: the redelivery is acked and not run again", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1", "2"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 5 });
  await nth(2);
  await proxy.refuse();
  await waitFor(() => at.session.state().consume.kind === "connecting");
  deliveries[0]?.ack();
  await proxy.heal();
  await consumer.consuming();
  await waitFor(async () => (await at.metrics.value("warren_amqp_stale_redeliveries_total", { queue: "q" })) === 1);
  deliveries[1]?.ack();
  expect(await consumer.drain(AbortSignal.timeout(30_000))).toBe(true);
  await consumer[Symbol.asyncDispose]();
  expect(names(deliveries)).toEqual(["1", "2"]);
  expect(await contents(at.session, "q")).toEqual([]);
});

test("an ack that was sent and never arrived is repeated, and the message is not run again", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1", "2", "3"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 3 });
  await nth(3);
  proxy.blackhole();
  for (const delivery of deliveries) delivery.ack();
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  await proxy.refuse();
  await waitFor(() => at.session.state().consume.kind === "connecting");
  await proxy.heal();
  await waitFor(async () => (await at.metrics.value("warren_amqp_stale_redeliveries_total", { queue: "q" })) === 3);
  expect(await consumer.drain(AbortSignal.timeout(30_000))).toBe(true);
  await consumer[Symbol.asyncDispose]();
  expect(names(deliveries)).toEqual(["1", "2", "3"]);
  expect(await contents(at.session, "q")).toEqual([]);
});

test("a handler that outlives its channel is not started a second time, and its ack goes to the redelivery", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 1 });
  await nth(1);
  await reconnected(at);
  await consumer.consuming();
  // With a window of one, "2" can come only after the redelivery of "1" was settled on the new channel.
  await fill(at.session, "q", ["2"]);
  await waitFor(() => deliveries[0]?.redelivered);
  deliveries[0]?.ack();
  await nth(2);
  expect(names(deliveries)).toEqual(["1", "2"]);
  deliveries[1]?.ack();
  await consumer[Symbol.asyncDispose]();
  expect(await contents(at.session, "q")).toEqual([]);
});

test("a consumer whose queue was deleted declares it again and goes on, under a fresh tag", async () => {
  await using at = await opened();
  await at.session.declare(jobsTopology({ queues: ["a"] }));
  const queue = jobQueue("a");
  const { consumer, deliveries, nth } = await collect(at, { queue, prefetch: 5 });
  await fill(at.session, queue, ["1"]);
  await nth(1);
  deliveries[0]?.ack();
  await at.session.withChannel((channel) => channel.deleteQueue(queue));
  await waitFor(async () => (await at.session.depth(queue))?.consumers === 1);
  await fill(at.session, queue, ["2"]);
  await nth(2);
  deliveries[1]?.ack();
  expect(consumerTagOf(deliveries[0])).toBeTypeOf("string");
  expect(consumerTagOf(deliveries[1])).not.toBe(consumerTagOf(deliveries[0]));
  await consumer[Symbol.asyncDispose]();
  expect(await contents(at.session, queue)).toEqual([]);
});

test("a consumer of a missing queue waits for it, and harms neither connection nor neighbours", async () => {
  await using at = await opened();
  await makeQueue(at.session, "there");
  const before = at.session.state();
  await using waiting = await at.session.consume({
    queue: "later",
    prefetch: 1,
    onMessage: (delivery) => delivery.ack(),
  });
  const { deliveries, nth } = await collect(at, { queue: "there", prefetch: 10 });
  await waitFor(() => {
    const state = waiting.state();
    return state.kind === "subscribing" && state.error?.includes("NOT_FOUND");
  });
  await fill(at.session, "there", ["1"]);
  await nth(1);
  deliveries[0]?.ack();
  await makeQueue(at.session, "later");
  await waiting.consuming({ signal: AbortSignal.timeout(30_000) });
  expect(at.session.state()).toEqual(before);
});

test("a rejected message goes to the dead-letter queue at once", async () => {
  await using at = await opened();
  await at.session.declare(jobsTopology({ queues: ["a"] }));
  await fill(at.session, jobQueue("a"), ["bad", "good"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: jobQueue("a"), prefetch: 5 });
  await nth(2);
  deliveries[1]?.ack();
  deliveries[0]?.reject();
  await waitFor(async () => (await at.session.depth(deadQueue("a")))?.messages === 1);
  await consumer[Symbol.asyncDispose]();
  expect(names(deliveries)).toEqual(["bad", "good"]);
  expect(await contents(at.session, deadQueue("a"))).toEqual(["bad"]);
  expect(await contents(at.session, jobQueue("a"))).toEqual([]);
});

test("a handler that throws has its message rejected, and the consumer lives on", async () => {
  await using at = await opened();
  await at.session.declare(jobsTopology({ queues: ["a"] }));
  const seen: string[] = [];
  await using consumer = await at.session.consume({
    queue: jobQueue("a"),
    prefetch: 5,
    onMessage: (delivery) => {
      seen.push(String(delivery.messageId));
      if (delivery.messageId === "throws") throw new Error("bug");
      if (delivery.messageId === "rejects") return Promise.reject(new Error("bug"));
      delivery.ack();
      return undefined;
    },
  });
  await consumer.consuming();
  const { consume } = at.session.state();
  await fill(at.session, jobQueue("a"), ["throws", "rejects", "fine"]);
  await waitFor(async () => (await at.session.depth(deadQueue("a")))?.messages === 2);
  await waitFor(() => seen.includes("fine"));
  expect(at.session.state().consume).toEqual(consume);
  expect(seen).toEqual(["throws", "rejects", "fine"]);
});

test("a requeue never spins: while consuming it is held for a second", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1"]);
  const times: number[] = [];
  await using consumer = await at.session.consume({
    queue: "q",
    prefetch: 5,
    onMessage: (delivery) => {
      times.push(performance.now());
      if (times.length < 3) delivery.requeue();
      else delivery.ack();
    },
  });
  await waitFor(() => times.length === 3);
  expect(await consumer.drain(AbortSignal.timeout(30_000))).toBe(true);
  expect((times[2] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1_900);
});

test("quiet takes no more and hands back at once; resume takes again on the same channel", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1", "2"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 2 });
  await nth(2);
  await consumer.quiet();
  expect(consumer.state()).toEqual({ kind: "quiet" });
  deliveries[1]?.requeue();
  await waitFor(async () => (await at.session.depth("q"))?.messages === 1);
  deliveries[0]?.ack();
  expect(await consumer.drain(AbortSignal.timeout(30_000))).toBe(true);
  await consumer.resume();
  await nth(3);
  expect(deliveries[2]).toMatchObject({ messageId: "2", redelivered: true });
  deliveries[2]?.ack();
  await consumer[Symbol.asyncDispose]();
  expect(await contents(at.session, "q")).toEqual([]);
});

test("resumed with a smaller window, the broker hands out no more than that", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1", "2", "3", "4"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 1 });
  await nth(1);
  await consumer.quiet();
  deliveries[0]?.ack();
  await consumer.resume({ prefetch: 2 });
  await nth(3);
  await waitFor(async () => (await at.session.depth("q"))?.messages === 1);
  expect(names(deliveries)).toEqual(["1", "2", "3"]);
  await expect(consumer.resume({ prefetch: 0 })).rejects.toMatchObject({ code: "AMQP_OPTION_INVALID" });
});

test("after a reconnect the window is what it was last, and a quiet consumer stays quiet", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1", "2", "3", "4", "5"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 5 });
  await nth(5);
  for (const delivery of deliveries) delivery.ack();
  await consumer.quiet();
  await fill(at.session, "q", ["6", "7", "8", "9"]);
  await reconnected(at);
  await waitFor(async () => (await at.session.depth("q"))?.messages === 4);
  expect(deliveries).toHaveLength(5);
  await consumer.resume({ prefetch: 2 });
  await nth(7);
  await reconnected(at);
  await consumer.consuming({ signal: AbortSignal.timeout(30_000) });
  await waitFor(async () => (await at.session.depth("q"))?.messages === 2);
  expect(new Set(names(deliveries.slice(5)))).toEqual(new Set(["6", "7"]));
  await consumer[Symbol.asyncDispose]();
});

test("drain waits for the last open message, and what is open at dispose goes back to the queue", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await fill(at.session, "q", ["1", "2"]);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 2 });
  await nth(2);
  deliveries[0]?.ack();
  expect(await consumer.drain(AbortSignal.timeout(50))).toBe(false);
  await consumer[Symbol.asyncDispose]();
  await consumer[Symbol.asyncDispose]();
  deliveries[1]?.ack();
  expect(await contents(at.session, "q")).toEqual(["2"]);
});

test("acks of one event-loop turn are one frame", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  const ids = Array.from({ length: 500 }, (_, index) => String(index));
  await fill(at.session, "q", ids);
  const { consumer, deliveries, nth } = await collect(at, { queue: "q", prefetch: 500 });
  await nth(500);
  const raw = await at.session.withChannel(async (channel) => channel.connection);
  const socket: unknown = Reflect.get(raw, "stream");
  const before = Reflect.get(socket as object, "bytesWritten") as number;
  for (const delivery of deliveries) delivery.ack();
  await consumer[Symbol.asyncDispose]();
  const written = (Reflect.get(socket as object, "bytesWritten") as number) - before;
  // One ack frame is 21 bytes; the closing of the channel takes some dozens more.
  expect(written).toBeLessThan(200);
  expect(await contents(at.session, "q")).toEqual([]);
});

test("quiet, resume and dispose in any haste leave one consumer or none", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  const consumer = await at.session.consume({ queue: "q", prefetch: 5, onMessage: (delivery) => delivery.ack() });
  await Promise.all([consumer.quiet(), consumer.resume(), consumer.quiet(), consumer.resume()]);
  await consumer.consuming();
  expect((await at.session.depth("q"))?.consumers).toBe(1);
  await Promise.all([consumer.quiet(), consumer[Symbol.asyncDispose](), consumer.resume()]);
  expect((await at.session.depth("q"))?.consumers).toBe(0);
  await expect(consumer.consuming()).rejects.toMatchObject({ code: "AMQP_CLOSED" });
});
