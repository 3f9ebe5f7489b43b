import { createSubscriber, defineEvent, type Event, replayEvents, type Subscription, subscribe } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
let stack: AsyncDisposableStack;
let broken: boolean;
const handled: Event<string, { n: number }>[] = [];
const others: number[] = [];
const orderCreated = defineEvent({ type: "orders.created", schema: z.object({ n: z.number() }) });

beforeEach(async () => {
  bench = await openBench();
  stack = new AsyncDisposableStack();
  broken = true;
  handled.length = 0;
  others.length = 0;
  await bench.dispatcher();
  await subscriber(
    subscribe(orderCreated, { service: "billing", name: "invoices", attempts: 1 }, (event) => {
      if (broken && event.data.n > 0) throw new Error("boom");
      handled.push(event);
    }),
    subscribe(orderCreated, { service: "audit", name: "trail" }, ({ data }) => void others.push(data.n)),
  );
});
afterEach(async () => {
  await stack.disposeAsync();
  await bench[Symbol.asyncDispose]();
});

async function subscriber(...subscriptions: Subscription[]): Promise<void> {
  const { session, ledger, metrics, log } = bench;
  const one = createSubscriber({ session, ledger, metrics, log, subscriptions });
  stack.use(one);
  await one.start();
}

const subscription = "billing.invoices";
const dead = () => bench.ledger.events.dead;

/** Publishes events that die, and waits until the ledger has them. */
async function kill(...numbers: number[]): Promise<readonly string[]> {
  const published: string[] = [];
  for (const n of numbers) {
    published.push(
      (await bench.client.publish(orderCreated, { n }, { correlationId: `c-${n}`, subject: `s-${n}` })).id,
    );
  }
  await waitFor(async () => (await dead().count({ subscription })) >= numbers.length, { what: "the dead letters" });
  return published;
}

function replay(options: Partial<Parameters<typeof replayEvents>[1]> = {}) {
  const publisher = stack.use(bench.session.publisher());
  return replayEvents({ ledger: bench.ledger, publisher }, { subscription, rate: 1_000, ...options });
}

test("replayed events go to the one subscription that gave up on them, as they were, and once", async () => {
  const ids = await kill(1, 2);
  broken = false;
  expect(await replay({ dryRun: true })).toEqual({ matched: 2, replayed: 0 });
  expect(handled).toEqual([]);
  expect(await replay()).toEqual({ matched: 2, replayed: 2 });
  await waitFor(() => handled.length === 2);
  expect(new Set(handled.map(({ id }) => id))).toEqual(new Set(ids));
  expect(handled.find(({ id }) => id === ids[0])).toMatchObject({
    replayed: true,
    attempt: 1,
    correlationId: "c-1",
    subject: "s-1",
    version: 1,
  });
  expect(others).toEqual([1, 2]);
  expect(await replay()).toEqual({ matched: 0, replayed: 0 });
  expect(await dead().list({ subscription, replayed: true }, { limit: 5 })).toMatchObject([
    { replays: 1 },
    { replays: 1 },
  ]);
});

test("a filter narrows by event, reason, type and time", async () => {
  const [first] = await kill(1, 2, 3);
  broken = false;
  expect(await replay({ filter: { reason: "EVENT_DATA_INVALID" } })).toEqual({ matched: 0, replayed: 0 });
  expect(await replay({ filter: { type: "orders.paid" } })).toEqual({ matched: 0, replayed: 0 });
  expect(await replay({ filter: { receivedBefore: new Date(0) } })).toEqual({ matched: 0, replayed: 0 });
  expect(await replay({ filter: { eventIds: [first ?? ""] } })).toEqual({ matched: 1, replayed: 1 });
  expect(await replay({ limit: 1 })).toEqual({ matched: 1, replayed: 1 });
  await waitFor(() => handled.length === 2);
  expect(handled[0]?.id).toBe(first);
});

test("what dies again during a replay is not taken again by it", async () => {
  await kill(1, 2);
  expect(await replay({ filter: { replayed: true } })).toEqual({ matched: 2, replayed: 2 });
  await waitFor(async () => (await dead().count({ subscription, replayed: true })) === 4);
  expect(await dead().count({ subscription })).toBe(2);
});

test("a replay may carry edited data, which must fit", async () => {
  const [id] = await kill(1);
  const wrong = replay({ edit: () => ({ n: "seven" }), event: orderCreated });
  await expect(wrong).rejects.toMatchObject({ code: "EVENT_DATA_INVALID", details: { path: "n" } });
  expect(await dead().count({ subscription })).toBe(1);
  const edited = await replay({ edit: (data) => ({ ...(data as object), n: -7 }), event: orderCreated });
  expect(edited).toEqual({ matched: 1, replayed: 1 });
  await waitFor(() => handled.length === 1);
  expect(handled[0]).toMatchObject({ id, data: { n: -7 } });
});

test("two replays at once send each event once", async () => {
  await kill(1, 2, 3, 4, 5, 6);
  broken = false;
  const both = await Promise.all([replay(), replay()]);
  expect(both.reduce((sum, { replayed }) => sum + replayed, 0)).toBe(6);
  await waitFor(() => handled.length === 6);
  expect(new Set(handled.map(({ id }) => id)).size).toBe(6);
});

test("a rate spreads a replay over time, and a signal ends it between two events", async () => {
  await kill(1, 2, 3, 4);
  broken = false;
  const startedAt = performance.now();
  expect(await replay({ rate: 20, limit: 3 })).toEqual({ matched: 3, replayed: 3 });
  expect(performance.now() - startedAt).toBeGreaterThan(90);
  expect(await replay({ signal: AbortSignal.abort() })).toEqual({ matched: 1, replayed: 0 });
  expect(await replay()).toEqual({ matched: 1, replayed: 1 });
});

test("a subscription that has no queue is refused, and its letters stay", async () => {
  const letter = { messageId: "m", queue: "q", reason: "r", body: Buffer.from("{}"), jobIds: [] };
  const event = { subscription: "billing.gone", id: "e-1", type: "orders.created", correlationId: undefined };
  await bench.ledger.recordDeadLetter({ ...letter, event });
  const gone = replay({ subscription: "billing.gone" });
  await expect(gone).rejects.toMatchObject({ code: "AMQP_UNROUTABLE" });
  expect(await dead().take({ subscription: "billing.gone" }, { limit: 5 })).toHaveLength(1);
});

test.for([
  { what: "an unknown option", options: { ratio: 3 }, code: "JOB_OPTION_UNKNOWN", path: "ratio" },
  { what: "a rate of nothing", options: { rate: 0 }, code: "JOB_OPTION_INVALID", path: "rate" },
  { what: "a rate that is no number", options: { rate: Number.NaN }, code: "JOB_OPTION_INVALID", path: "rate" },
  { what: "no subscription", options: { subscription: "billing" }, code: "JOB_OPTION_INVALID", path: "subscription" },
  { what: "an id that is none", options: { filter: { ids: ["x"] } }, code: "JOB_OPTION_INVALID", path: "filter.ids.0" },
])("$what is refused", async ({ options, code, path }) => {
  await expect(replay(options as Parameters<typeof replay>[0])).rejects.toMatchObject({ code, details: { path } });
});
