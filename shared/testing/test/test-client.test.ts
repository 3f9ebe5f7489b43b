import { chain, defineEvent, defineJob, handle, snooze, step, subscribe } from "@warren/jobs";
import { expect, test } from "vitest";
import { z } from "zod";
import { createTestClient } from "../src/jobs/index.ts";

const tick = defineJob({ name: "tick", payload: z.object({ n: z.number().default(0) }) });
const happened = defineEvent({ type: "things.happened", schema: z.object({ n: z.number() }) });

test("without inline, jobs pile up until they are drained", async () => {
  const seen: number[] = [];
  await using client = createTestClient({ handlers: [handle(tick, ({ payload }) => void seen.push(payload.n))] });
  await client.enqueueMany(tick, [{ payload: { n: 1 } }, { payload: { n: 2 } }]);
  expect([seen, client.enqueuedJobs().map(({ state }) => state)]).toEqual([[], ["ready", "ready"]]);
  expect(await client.drain()).toEqual({ attempts: 2, deliveries: 0, dead: [] });
  expect(seen).toEqual([1, 2]);
});

test("the clock moves only when the test moves it, and inline each job runs at its time", async () => {
  const now = new Date("2026-03-01T12:00:00Z");
  const at: string[] = [];
  await using client = createTestClient({
    now,
    mode: "inline",
    handlers: [handle(tick, ({ payload }) => void at.push(`${payload.n} ${client.now().toISOString()}`))],
  });
  await client.enqueue(tick, { n: 2 }, { delayMs: 2_000 });
  await client.enqueue(tick, { n: 1 }, { at: new Date("2026-03-01T12:00:01Z") });
  expect((await client.advance(1_999)).attempts).toBe(1);
  expect(client.now()).toEqual(new Date("2026-03-01T12:00:01.999Z"));
  await client.advance(1);
  expect(at).toEqual(["1 2026-03-01T12:00:01.000Z", "2 2026-03-01T12:00:02.000Z"]);
});

test("in manual mode advancing makes jobs due and runs none; a drain up to an instant stops there", async () => {
  await using client = createTestClient({ handlers: [handle(tick, () => undefined)] });
  const { id } = await client.enqueue(tick, {}, { delayMs: 1_000 });
  const late = await client.enqueue(tick, {}, { delayMs: 9_000 });
  await client.advance(1_000);
  expect(client.job(id)?.state).toBe("ready");
  const until = new Date(client.now().getTime() + 5_000);
  expect((await client.drain({ until })).attempts).toBe(1);
  expect([client.now(), client.job(late.id)?.state]).toEqual([until, "scheduled"]);
});

test("jobs without end are stopped, and named", async () => {
  const handlers = [handle(tick, async (job) => void (await job.enqueue(tick, {})))];
  await using client = createTestClient({ handlers });
  await client.enqueue(tick, {});
  await expect(client.drain({ limit: 50 })).rejects.toMatchObject({
    code: "TEST_DRAIN_ENDLESS",
    message: "drain: 50 attempts and deliveries were not enough; still waiting: tick (started 1 times)",
  });
});

test("a job that snoozes for ever is stopped too", async () => {
  await using client = createTestClient({ handlers: [handle(tick, () => snooze(1))] });
  await client.enqueue(tick, {});
  await expect(client.drain({ limit: 20 })).rejects.toMatchObject({ code: "TEST_DRAIN_ENDLESS" });
});

test("what needs a database is refused with the way to have one", async () => {
  await using client = createTestClient({ handlers: [handle(tick, () => undefined)] });
  const refused = { code: "TEST_NOT_FAKED", message: expect.stringContaining("openTestWarren()") as string };
  await expect(client.startFlow(chain("steps", [step(tick, {})]))).rejects.toMatchObject(refused);
  await expect(client.schedules.list()).rejects.toMatchObject(refused);
  await expect(client.transaction((tx) => tx("select 1", []))).rejects.toMatchObject(refused);
});

test("what is written with somebody else's transaction counts at once", async () => {
  await using client = createTestClient();
  const statements: string[] = [];
  const tx = async (text: string) => ({ rows: [{ statement: statements.push(text) }] });
  const { id } = await client.enqueue(tick, {}, { tx });
  expect([client.job(id)?.state, statements]).toEqual(["ready", []]);
});

test("inline, jobs of a transaction run after its commit", async () => {
  const seen: number[] = [];
  await using client = createTestClient({
    mode: "inline",
    handlers: [handle(tick, ({ payload }) => void seen.push(payload.n))],
  });
  await client.transaction(async (tx) => {
    await client.enqueue(tick, { n: 1 }, { tx });
    expect(seen).toEqual([]);
  });
  expect(seen).toEqual([1]);
});

test("subscribers get events inline, and events that they give up are shown", async () => {
  const seen: number[] = [];
  const options = { service: "shop", name: "log", attempts: 2, ladderMs: [1_000] };
  await using client = createTestClient({
    mode: "inline",
    subscriptions: [
      subscribe(happened, options, ({ data, attempt }) => {
        seen.push(attempt);
        throw new Error(`no ${data.n}`);
      }),
    ],
  });
  await client.publish(happened, { n: 7 }, { subject: "seven" });
  expect([seen, client.deadEvents()]).toEqual([[1], []]);
  expect(await client.advance(1_000)).toMatchObject({ deliveries: 1 });
  expect(client.deadEvents()).toEqual([
    {
      subscription: "shop.log",
      type: "things.happened",
      reason: "EVENT_ATTEMPTS_EXHAUSTED",
      error: "EVENT_FAILED: no 7",
    },
  ]);
  expect(client.publishedEvents()).toMatchObject([
    { type: "things.happened", version: 1, data: { n: 7 }, subject: "seven" },
  ]);
});

test("progress and notes of handlers are there to be looked at", async () => {
  const handlers = [
    handle(tick, (job) => {
      job.progress({ done: 1, of: 2 });
      job.note("half of it");
    }),
  ];
  await using client = createTestClient({ handlers, mode: "inline" });
  const { id } = await client.enqueue(tick, {});
  expect([client.progress(id), client.notes(id)]).toEqual([{ done: 1, of: 2 }, ["half of it"]]);
});

test("backoffs have no jitter unless the test wants it", async () => {
  const failing = defineJob({
    name: "failing",
    payload: z.object({}),
    attempts: 9,
    backoff: { kind: "exponential", jitter: 0.5 },
  });
  const handlers = [handle(failing, () => Promise.reject(new Error("down")))];
  await using client = createTestClient({ handlers, mode: "inline", now: new Date(0) });
  const { id } = await client.enqueue(failing, {});
  expect(client.job(id)?.runAt).toEqual(new Date(1_000));
});
