import { openSession, type Publisher } from "@warren/amqp";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { createClient } from "../src/enqueue/client.ts";
import { handle } from "../src/handle.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const note = defineJob({ name: "note", payload: z.object({ n: z.number() }) });

test("the same id enqueued many times at once is one job", async () => {
  const runs: string[] = [];
  await bench.worker([handle(note, ({ id }) => void runs.push(id))]);
  const results = await Promise.all(
    Array.from({ length: 50 }, () => bench.client.enqueue(note, { n: 1 }, { id: "order-7" })),
  );
  expect(new Set(results.map(({ id }) => id)).size).toBe(1);
  expect(results.filter(({ created }) => created)).toHaveLength(1);
  const id = results[0]?.id ?? "";
  await bench.until(id, "succeeded");
  expect(await bench.client.enqueue(note, { n: 2 }, { id: "order-7" })).toMatchObject({ id, created: false });
  expect(runs).toEqual([id]);
});

test("enqueuing works while the broker is down, and the job runs when it can be sent", async () => {
  const { ledger, metrics } = bench;
  const log = bench.log.logger;
  const stack = new AsyncDisposableStack();
  const session = stack.use(await openSession({ urls: ["amqp://guest:guest@127.0.0.1:1"], name: "down", log }));
  const own = stack.use(session.publisher({ deadlineMs: 200 }));
  const { promise: enqueued, resolve } = Promise.withResolvers<void>();
  // begins when the enqueuing is over: one that waited for it would never end
  const publisher: Pick<Publisher, "publish"> = { publish: (message) => enqueued.then(() => own.publish(message)) };
  const client = stack.use(createClient({ ledger, publisher, log, metrics }));
  const { id, created } = await client.enqueue(note, { n: 1 });
  expect(created).toBe(true);
  resolve();
  await waitFor(async () => (await metrics.value("warren_job_messages_total", { outcome: "failed" })) === 1);
  await stack.disposeAsync();
  await bench.worker([handle(note, () => undefined)]);
  bench.dispatch();
  await bench.until(id, "succeeded");
});

test("a call with one wrong payload adds none of its jobs", async () => {
  const items = [{ payload: { n: 1 } }, { payload: { n: Number.NaN } }];
  await expect(bench.client.enqueueMany(note, items)).rejects.toMatchObject({ code: "JOB_PAYLOAD_INVALID" });
  expect(await bench.ledger.readyQueues()).toEqual([]);
});

test("thousands of jobs in one call travel in bundles and run once each", async () => {
  const runs = new Map<number, number>();
  await bench.worker([handle(note, ({ payload }) => void runs.set(payload.n, (runs.get(payload.n) ?? 0) + 1))], {
    concurrency: 100,
  });
  const added = await bench.client.enqueueMany(
    note,
    Array.from({ length: 2_500 }, (_, n) => ({ payload: { n } })),
  );
  expect(added).toHaveLength(2_500);
  await waitFor(() => runs.size === 2_500, { what: "every job to run" });
  // the broker may hand a message out before it confirms it
  const confirmed = () => bench.metrics.value("warren_job_messages_total", { outcome: "confirmed" });
  await waitFor(async () => ((await confirmed()) ?? 0) >= 50);
  expect([...runs.values()].every((times) => times === 1)).toBe(true);
  expect(await confirmed()).toBe(50);
});

test("disposing the client publishes what is pending and marks what was sent", async () => {
  const { ledger, metrics, session } = bench;
  const log = bench.log.logger;
  await using publisher = session.publisher();
  const client = createClient({ ledger, publisher, log, metrics });
  await client.enqueue(note, { n: 1 });
  await client[Symbol.asyncDispose]();
  expect(await ledger.takeLost({ queue: "default", sentForMs: 0, limit: 10 })).toHaveLength(1);
});

test("a burst above what may be pending is announced by its own process as room frees, without a dispatcher", async () => {
  const { ledger, metrics, session } = bench;
  const log = bench.log.logger;
  await using publisher = session.publisher();
  await using client = createClient({ ledger, publisher, log, metrics, maxPendingMessages: 3 });
  const lonely = defineJob({ name: "lonely", payload: z.object({ n: z.number() }), bundleSize: 1 });
  const runs = new Set<number>();
  await bench.worker([handle(lonely, ({ payload }) => void runs.add(payload.n))], { concurrency: 50 });
  await client.enqueueMany(
    lonely,
    Array.from({ length: 200 }, (_, n) => ({ payload: { n } })),
  );
  await waitFor(() => runs.size === 200, { what: "every job to run" });
  await waitFor(async () => (await metrics.value("warren_job_messages_total", { outcome: "confirmed" })) === 200);
  expect(await metrics.value("warren_job_messages_total", { outcome: "left" })).toBeUndefined();
});

test("what is beyond the backlog is left to the dispatcher, and counted", async () => {
  const { ledger, metrics, session } = bench;
  const log = bench.log.logger;
  await using publisher = session.publisher();
  await using client = createClient({ ledger, publisher, log, metrics, maxPendingMessages: 3, maxBacklogJobs: 10 });
  const lonely = defineJob({ name: "lonely", payload: z.object({ n: z.number() }), bundleSize: 1 });
  await client.enqueueMany(
    lonely,
    Array.from({ length: 20 }, (_, n) => ({ payload: { n } })),
  );
  await waitFor(async () => (await metrics.value("warren_job_messages_total", { outcome: "confirmed" })) === 13);
  expect(await metrics.value("warren_job_messages_total", { outcome: "left" })).toBe(7);
});

test("when the broker stays away, the backlog is left to the dispatcher", async () => {
  const { ledger, metrics } = bench;
  const log = bench.log.logger;
  await using session = await openSession({ urls: ["amqp://guest:guest@127.0.0.1:1"], name: "down", log });
  await using publisher = session.publisher({ deadlineMs: 200 });
  await using client = createClient({ ledger, publisher, log, metrics, maxPendingMessages: 3 });
  const lonely = defineJob({ name: "lonely", payload: z.object({ n: z.number() }), bundleSize: 1 });
  await client.enqueueMany(
    lonely,
    Array.from({ length: 20 }, (_, n) => ({ payload: { n } })),
  );
  await waitFor(async () => (await metrics.value("warren_job_messages_total", { outcome: "left" })) === 17);
  await waitFor(async () => (await metrics.value("warren_job_messages_total", { outcome: "failed" })) === 3);
  expect(await metrics.value("warren_job_messages_total", { outcome: "confirmed" })).toBeUndefined();
});
