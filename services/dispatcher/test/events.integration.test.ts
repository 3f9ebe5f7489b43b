import { deadEventsQueue, deadExchange, retryExchange, retryKey, unroutableQueue } from "@warren/amqp";
import { deadJob, deadJobType, deadJobTypes } from "@warren/contracts";
import {
  createSubscriber,
  defineEvent,
  type Event,
  handle,
  NonRetryableError,
  type Subscription,
  subscribe,
} from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { type Bench, note, openBench } from "./fixture.ts";

let bench: Bench;
let stack: AsyncDisposableStack;
beforeEach(async () => {
  bench = await openBench();
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  await stack.disposeAsync();
  await bench[Symbol.asyncDispose]();
});

const orderCreated = defineEvent({ type: "orders.created", schema: z.object({ n: z.number() }) });
const billing = { service: "billing", name: "invoices", ladderMs: [20] };

async function subscriber(...subscriptions: Subscription[]): Promise<void> {
  const { session, ledger, metrics, log } = bench;
  const one = createSubscriber({ session, ledger, metrics, log, subscriptions });
  stack.use(one);
  await one.start();
}

const rows = async (table: string) => (await bench.ledger.query(`select * from ${bench.ledger.table(table)}`, [])).rows;

test("an event published in a transaction reaches its subscribers after the commit, and leaves the outbox empty", async () => {
  await bench.dispatcher();
  const got: Event[] = [];
  await subscriber(subscribe(orderCreated, billing, (event) => void got.push(event)));
  const { ledger, client } = bench;
  const rolledBack = ledger.transaction(async (tx) => {
    await client.publish(orderCreated, { n: 1 }, { tx });
    throw new Error("no");
  });
  await expect(rolledBack).rejects.toThrow("no");
  const published = await ledger.transaction((tx) =>
    client.publish(orderCreated, { n: 2 }, { tx, correlationId: "c-1" }),
  );
  expect(published.via).toBe("outbox");
  await waitFor(() => got.length > 0);
  await waitFor(async () => (await rows("event_outbox")).length === 0);
  expect(got).toMatchObject([{ id: published.id, data: { n: 2 }, correlationId: "c-1", version: 1, attempt: 1 }]);
});

test("events of one ordering key arrive in the order of their commits, with any number of dispatchers", async () => {
  await bench.dispatcher();
  await bench.dispatcher();
  const got = new Map<string, number[]>();
  await subscriber(
    subscribe(orderCreated, { ...billing, concurrency: 1 }, ({ subject = "", data }) => {
      got.set(subject, [...(got.get(subject) ?? []), data.n]);
    }),
  );
  const keys = ["a", "b", "c"];
  await Promise.all(
    keys.map(async (key) => {
      for (let n = 0; n < 40; n += 1) {
        await bench.client.publish(orderCreated, { n }, { orderingKey: key, subject: key });
      }
    }),
  );
  await waitFor(() => keys.every((key) => got.get(key)?.length === 40));
  for (const key of keys) expect(got.get(key)).toEqual(Array.from({ length: 40 }, (_, n) => n));
});

test("a relay killed between publish and mark-sent doubles the message under the same id, and loses none", async () => {
  const got: Event[] = [];
  let runs = 0;
  await subscriber(
    subscribe(orderCreated, billing, (event) => void got.push(event)),
    subscribe(orderCreated, { ...billing, name: "once", inbox: true }, () => void (runs += 1)),
  );
  const { outbox } = bench.ledger.events;
  // what a killed relay leaves behind: published and confirmed, not marked
  let marks = 0;
  const dying = {
    ...bench.ledger,
    events: {
      ...bench.ledger.events,
      outbox: { ...outbox, sent: () => ((marks += 1), Promise.reject(new Error("killed"))) },
    },
  };
  const { id } = await bench.ledger.transaction((tx) => bench.client.publish(orderCreated, { n: 1 }, { tx }));
  const first = await bench.dispatcher({ ledger: dying });
  await waitFor(() => marks > 0 && got.length === 1);
  await first[Symbol.asyncDispose]();
  expect(await rows("event_outbox")).toHaveLength(1);
  await bench.ledger.query(`update ${bench.ledger.table("event_outbox")} set send_after = now()`, []);
  await bench.dispatcher();
  await waitFor(() => got.length === 2);
  await waitFor(async () => (await rows("event_outbox")).length === 0);
  expect(got.map((event) => event.id)).toEqual([id, id]);
  const duplicates = { subscription: "billing.once", outcome: "duplicate" };
  await waitFor(async () => (await bench.metrics.value("warren_events_handled_total", duplicates)) === 1);
  expect(runs).toBe(1);
});

test("an event that can never be sent is kept as a dead letter and does not block its key", async () => {
  const got: number[] = [];
  await subscriber(subscribe(orderCreated, billing, ({ data }) => void got.push(data.n)));
  const { outbox } = bench.ledger.events;
  const headers = { cloudEvents_id: "big", filling: "x".repeat(70_000) };
  await outbox.add([{ eventId: "big", type: "orders.created", headers, body: '{"n":1}', orderingKey: "k" }]);
  await bench.client.publish(orderCreated, { n: 2 }, { orderingKey: "k" });
  await bench.dispatcher();
  await waitFor(() => got.length === 1);
  expect(got).toEqual([2]);
  expect(await rows("dead_letters")).toMatchObject([
    { queue: "outbox", reason: "AMQP_MESSAGE_INVALID", message_id: "big" },
  ]);
});

test("a dead event is taken into the ledger with its subscription, reason and the broker's history", async () => {
  await bench.dispatcher();
  await subscriber(
    subscribe(orderCreated, { ...billing, attempts: 2 }, () => {
      throw new Error("boom");
    }),
  );
  const { id } = await bench.client.publish(orderCreated, { n: 1 });
  const [letter] = await waitFor(async () => {
    const found = await bench.ledger.events.dead.list({ subscription: "billing.invoices" }, { limit: 10 });
    return found.length > 0 ? found : undefined;
  });
  expect(letter).toMatchObject({
    subscription: "billing.invoices",
    eventId: id,
    type: "orders.created",
    reason: "EVENT_ATTEMPTS_EXHAUSTED",
    death: [{ reason: "expired", queue: "warren.retry.20ms" }],
    headers: { "x-warren-error": "EVENT_FAILED: boom" },
    replays: 0,
  });
  expect(letter?.body.toString()).toBe('{"n":1}');
  const labels = { queue: "warren.events.billing.invoices", reason: "EVENT_ATTEMPTS_EXHAUSTED" };
  // counted after the commit that the row was seen by
  await waitFor(async () => (await bench.metrics.value("warren_dead_letters_total", labels)) === 1);
  await waitFor(async () => (await bench.session.depth(deadEventsQueue))?.messages === 0);
});

test("an event that the broker gives up on in a subscription's queue is taken in with the broker's reason", async () => {
  await bench.dispatcher();
  await subscriber(subscribe(orderCreated, billing, () => undefined));
  const headers = {
    "x-first-death-reason": "delivery_limit",
    cloudEvents_id: "e-1",
    cloudEvents_type: "orders.created",
  };
  // as the broker would after the delivery limit; the data look like a job message, and must not be taken for one
  await bench.session.withConfirmChannel(async (channel) => {
    const body = Buffer.from(JSON.stringify({ v: 1, jobs: [crypto.randomUUID()] }));
    channel.publish(deadExchange, "event.billing.invoices", body, { headers, messageId: "e-1" });
    await channel.waitForConfirms();
  });
  const letters = await waitFor(async () => {
    const found = await rows("dead_letters");
    return found.length > 0 ? found : undefined;
  });
  expect(letters).toMatchObject([
    { subscription: "billing.invoices", event_id: "e-1", reason: "delivery_limit", job_ids: [] },
  ]);
});

test("events on the ladder whose subscription was deleted are parked, taken in with an alarm, and stop no other", async () => {
  await bench.dispatcher();
  const attempts: number[] = [];
  await subscriber(
    subscribe(orderCreated, billing, ({ attempt }) => {
      attempts.push(attempt);
      if (attempt === 1) throw new Error("once");
    }),
  );
  // more than the 32 unroutable messages that stop a rung without an alternate exchange
  await bench.session.withConfirmChannel(async (channel) => {
    for (let n = 0; n < 40; n += 1) {
      const options = { messageId: `gone-${n}`, persistent: true };
      channel.publish(retryExchange, retryKey(20, "billing", "gone"), Buffer.from("{}"), options);
    }
    await channel.waitForConfirms();
  });
  await bench.client.publish(orderCreated, { n: 99 });
  await waitFor(() => attempts.length === 2, { what: "the other subscription's retry" });
  await waitFor(async () => (await bench.metrics.value("warren_unroutable_messages_total")) === 40);
  const kept = { subscription: "billing.gone", reason: "unroutable" };
  expect(await bench.ledger.events.dead.count(kept)).toBe(40);
});

test("a dead job is announced to whoever subscribed, once its death is committed", async () => {
  await bench.dispatcher();
  await bench.worker([
    handle(note, () => {
      throw new NonRetryableError("no such note");
    }),
  ]);
  const got: Event<string, z.output<typeof deadJob>>[] = [];
  await subscriber(
    subscribe(deadJobTypes, { service: "alerts", name: "dead", schema: deadJob }, (event) => void got.push(event)),
  );
  const { id } = await bench.client.enqueue(note, { text: "x" }, { correlationId: "c-1" });
  await waitFor(() => got.length === 1);
  expect(got).toMatchObject([
    {
      type: deadJobType("notes"),
      subject: id,
      correlationId: "c-1",
      data: {
        jobId: id,
        name: "note",
        version: 1,
        queue: "notes",
        reason: "JOB_NOT_RETRYABLE",
        attempt: 1,
        error: { code: "JOB_NOT_RETRYABLE", message: "no such note" },
      },
    },
  ]);
});

test("a dead job that nobody listens for leaves nothing behind, and one that did not die is not announced", async () => {
  await bench.dispatcher();
  await bench.worker([
    handle(note, ({ payload }) => {
      if (payload.text === "die") throw new NonRetryableError("asked to");
    }),
  ]);
  // any queue bound to warren.dead hears of it too, in any language
  await bench.session.withChannel(async (channel) => {
    await channel.assertQueue("foreign", { durable: true, arguments: { "x-queue-type": "quorum" } });
    await channel.bindQueue("foreign", deadExchange, "job.dead.notes");
  });
  const fine = await bench.client.enqueue(note, { text: "live" });
  await bench.until(fine.id, "succeeded");
  const dead = await bench.client.enqueue(note, { text: "die" });
  await waitFor(async () => (await bench.depth("foreign")) === 1);
  await waitFor(async () => (await rows("event_outbox")).length === 0);
  const message = await bench.session.withChannel((channel) => channel.get("foreign", { noAck: true }));
  expect(message === false ? undefined : message.properties.headers?.["cloudEvents_subject"]).toBe(dead.id);
  expect(await bench.depth("foreign")).toBe(0);
  expect(await bench.depth(unroutableQueue)).toBe(0);
  expect(await bench.metrics.value("warren_unroutable_messages_total")).toBe(0);
});
