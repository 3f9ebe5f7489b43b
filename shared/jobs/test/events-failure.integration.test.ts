import { fileURLToPath } from "node:url";
import { eventQueue, openSession, retryQueue } from "@warren/amqp";
import { spawnService, startPrivateBroker, startTcpProxy, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { createClient } from "../src/enqueue/client.ts";
import { subscribe } from "../src/events/subscribe.ts";
import { openEventBench, orderCreated, shortLadderMs } from "./events-fixture.ts";

const billing = { service: "billing", name: "invoices", ladderMs: shortLadderMs };

/** What a broker needs to keep a new queue over its own violent death: see "A queue just made" in infra/docs/events.md. */
const registrationMs = 3_000;

test("a broker restart in the middle of a stream loses no event, and the subscriber resumes by itself", {
  timeout: 120_000,
}, async () => {
  await using broker = await startPrivateBroker();
  await using bench = await openEventBench({ amqpUrl: broker.amqpUrl });
  const seen = new Map<string, number>();
  const failedOnce = new Set<string>();
  await bench.subscriber([
    subscribe(orderCreated, { ...billing, concurrency: 5 }, async ({ data }) => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      // some climb the ladder while the broker is killed
      if (data.total % 10 === 0 && !failedOnce.has(data.orderId)) {
        failedOnce.add(data.orderId);
        throw new Error("once");
      }
      seen.set(data.orderId, (seen.get(data.orderId) ?? 0) + 1);
    }),
  ]);
  await new Promise((resolve) => setTimeout(resolve, registrationMs));
  const count = 400;
  const published = (async () => {
    for (let n = 0; n < count; n += 1) {
      // longer than any restart: the publisher sends again what was not confirmed, under the same message id
      await bench.client.publish(orderCreated, { orderId: `${n}`, total: n }, { deadlineMs: 60_000 });
    }
  })();
  await waitFor(() => seen.size > 50);
  await broker.kill();
  await broker.start();
  await published;
  await waitFor(() => seen.size === count, { what: "every event", timeoutMs: 40_000 });
  await waitFor(async () => (await bench.session.depth(eventQueue("billing", "invoices")))?.messages === 0);
  expect((await bench.session.depth(retryQueue(shortLadderMs[0])))?.messages).toBe(0);
  expect(await bench.takeDead()).toBeUndefined();
});

test("a subscriber killed in its handler: the event is delivered to another", async () => {
  await using bench = await openEventBench();
  const entry = fileURLToPath(new URL("fixtures/subscriber.ts", import.meta.url));
  await using victim = await spawnService({ entry, env: { AMQP_URL: bench.world.amqpUrl }, readyPath: null });
  await victim.waitForRecord(({ msg }) => msg === "subscribed", 30_000);
  const { id } = await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await victim.waitForRecord(({ msg }) => msg === "handler begun");
  const got: { id: string; attempt: number }[] = [];
  await bench.subscriber([
    subscribe(
      orderCreated,
      { service: "billing", name: "invoices" },
      ({ id, attempt }) => void got.push({ id, attempt }),
    ),
  ]);
  await victim.kill();
  await waitFor(() => got.length === 1, { timeoutMs: 20_000 });
  expect(got).toEqual([{ id, attempt: 1 }]);
});

test("while the broker is away publish is refused with a clear code, or kept by the outbox when durable; nothing is lost", async () => {
  await using bench = await openEventBench();
  const { ledger, metrics, log } = bench;
  await using proxy = await startTcpProxy({ targetPort: Number(new URL(bench.world.amqpUrl).port) });
  await using session = await openSession({ urls: [proxy.through(bench.world.amqpUrl)], name: "p", log: log.logger });
  await session.connected();
  await using publisher = session.publisher();
  const { outbox } = ledger.events;
  let seen = false;
  let next: Promise<{ readonly via: string; readonly id: string }> | undefined;
  const add: typeof outbox.add = (events) => {
    const isFirst = !seen;
    seen = true;
    const added = outbox.add(events);
    // it must not wait for a broker that was just seen to be away: that would take a minute
    if (isFirst)
      next = client.publish(orderCreated, { orderId: "o-4", total: 1 }, { durable: true, deadlineMs: 60_000 });
    return added;
  };
  const watched = { ...ledger, events: { ...ledger.events, outbox: { ...outbox, add } } };
  await using client = createClient({ ledger: watched, publisher, metrics, log: log.logger });
  await client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await proxy.refuse();
  proxy.cut();
  const refused = client.publish(orderCreated, { orderId: "o-2", total: 1 }, { id: "e-2", deadlineMs: 100 });
  await expect(refused).rejects.toMatchObject({
    code: "AMQP_PUBLISH_TIMEOUT",
    retryable: true,
    details: { messageId: "e-2" },
  });
  const kept = await client.publish(orderCreated, { orderId: "o-3", total: 1 }, { durable: true, deadlineMs: 100 });
  expect(kept.via).toBe("outbox");
  const soon = await next;
  expect(soon?.via).toBe("outbox");
  const waiting = await outbox.takeFree({ limit: 10 });
  expect(new Set(waiting.map(({ eventId }) => eventId))).toEqual(new Set([kept.id, soon?.id]));
  expect(await metrics.value("warren_events_published_total", { outcome: "failed" })).toBe(1);
});

test("publishing without the exchange is refused with what to do, and never silently dropped", async () => {
  await using bench = await openEventBench();
  await bench.session.withChannel((channel) => channel.deleteExchange("warren.events"));
  const { ledger, metrics, log } = bench;
  await using session = await openSession({ urls: [bench.world.amqpUrl], name: "p", log: log.logger });
  await using publisher = session.publisher();
  await using client = createClient({ ledger, publisher, metrics, log: log.logger });
  await expect(client.publish(orderCreated, { orderId: "o-1", total: 1 })).rejects.toMatchObject({
    code: "AMQP_UNROUTABLE",
  });
});

test("a retry queue that somebody deleted is made again, and the event climbs it", async () => {
  await using bench = await openEventBench();
  const attempts: number[] = [];
  await bench.subscriber([
    subscribe(orderCreated, billing, ({ attempt }) => {
      attempts.push(attempt);
      if (attempt === 1) throw new Error("once");
    }),
  ]);
  await bench.session.withChannel((channel) => channel.deleteQueue(retryQueue(shortLadderMs[0])));
  await bench.client.publish(orderCreated, { orderId: "o-1", total: 1 });
  await waitFor(() => attempts.length === 2);
  expect(attempts).toEqual([1, 2]);
});
