import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { handle } from "../src/handle.ts";
import type { RecycleReason } from "../src/worker/recycle.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const task = defineJob({ name: "task", payload: z.object({}), bundleSize: 1 });
const payloads = (count: number) => Array.from({ length: count }, () => ({ payload: {} }));

/** A handler whose runs end one by one, as told. */
function gated() {
  const waiting: (() => void)[] = [];
  return {
    handler: handle(task, () => new Promise<void>((resolve) => waiting.push(resolve))),
    get running() {
      return waiting.length;
    },
    end(count = waiting.length) {
      for (const release of waiting.splice(0, count)) release();
    },
  };
}

test("concurrency is raised and lowered while running, and the ledger shows it", async () => {
  const gate = gated();
  const worker = await bench.worker([gate.handler], { concurrency: 2 });
  await bench.client.enqueueMany(task, payloads(30));
  await waitFor(() => gate.running === 2);
  worker.setConcurrency(6);
  await waitFor(() => gate.running === 6);
  const shown = async () =>
    (await bench.ledger.query(`select concurrency from ${bench.ledger.table("workers")} where id = $1`, [worker.id]))
      .rows[0];
  await waitFor(async () => (await shown())?.["concurrency"] === 6);
  worker.setConcurrency(1);
  gate.end(5);
  expect(gate.running).toBe(1);
  await bench.metrics.text();
  expect(await bench.metrics.value("warren_worker_concurrency_target")).toBe(1);
  // one ends, one begins, never two
  for (let round = 0; round < 5; round += 1) {
    gate.end(1);
    await waitFor(() => gate.running > 0);
    expect(gate.running).toBe(1);
  }
  worker.setConcurrency(50);
  await waitFor(() => gate.running === 30 - 5 - 5);
  gate.end();
});

test("a pause resolves when the active jobs have ended; meanwhile none starts here, others go on; resume takes again", async () => {
  const gate = gated();
  const worker = await bench.worker([gate.handler], { concurrency: 2 });
  const first = await bench.client.enqueueMany(task, payloads(5));
  await waitFor(() => gate.running === 2);
  let paused = false;
  const pausing = worker.pause().finally(() => {
    paused = true;
  });
  // the three that it had not claimed go to another one at once
  await using other = await bench.worker([handle(task, () => "other")]);
  const results = async () => Promise.all(first.map(async ({ id }) => (await bench.ledger.findJob(id))?.result));
  await waitFor(async () => (await results()).filter((result) => result === "other").length === 3);
  expect([paused, worker.state, gate.running]).toEqual([false, "paused", 2]);
  gate.end();
  await pausing;
  for (const { id } of first) expect((await bench.ledger.findJob(id))?.state).toBe("succeeded");
  await other.quiet();
  const waiting = await bench.client.enqueue(task, {});
  await waitFor(async () => (await bench.session.depth("warren.jobs.default"))?.messages === 1);
  worker.resume();
  await waitFor(() => gate.running === 1);
  gate.end();
  await bench.until(waiting.id, "succeeded");
});

test("only a worker that runs can be paused or resumed", async () => {
  const worker = await bench.worker([gated().handler]);
  await worker.quiet();
  await expect(worker.pause()).rejects.toMatchObject({ code: "WORKER_STATE_INVALID" });
  expect(() => worker.resume()).toThrow(expect.objectContaining({ code: "WORKER_STATE_INVALID" }));
});

test("a worker that sets its own concurrency grows while jobs wait, and shrinks when there is nothing to do", async () => {
  const worker = await bench.worker([handle(task, () => new Promise((resolve) => setTimeout(resolve, 20)))], {
    concurrency: { min: 1, max: 12, targetWaitMs: 50, maxLoopLagMs: 5_000, everyMs: 100 },
  });
  expect(worker.concurrency).toBe(1);
  const jobs = await bench.client.enqueueMany(task, payloads(300));
  await waitFor(() => worker.concurrency >= 4, { what: "more slots" });
  for (const { id } of jobs) await bench.until(id, "succeeded");
  await waitFor(() => worker.concurrency <= 2, { what: "fewer slots" });
});

test("a worker whose handlers block the event loop gives slots up", async () => {
  const worker = await bench.worker(
    [
      handle(task, () => {
        const until = performance.now() + 60;
        while (performance.now() < until);
      }),
    ],
    { concurrency: { min: 1, max: 8, targetWaitMs: 10_000, maxLoopLagMs: 30, everyMs: 100 } },
  );
  worker.setConcurrency(8);
  await bench.client.enqueueMany(task, payloads(60));
  await waitFor(() => worker.concurrency <= 2, { what: "the concurrency to shrink" });
  expect(worker.concurrency).toBeGreaterThanOrEqual(1);
});

test("after its number of jobs a worker finishes what it has, hands the rest over, and asks to be replaced; nothing is lost", async () => {
  const reasons: RecycleReason[] = [];
  const { promise: recycled, resolve } = Promise.withResolvers<void>();
  let runs = 0;
  const count = handle(task, async () => {
    runs += 1;
    await new Promise((done) => setTimeout(done, 5));
  });
  const worker = await bench.worker([count], {
    concurrency: 3,
    recycle: {
      afterJobs: 20,
      onRecycle(reason) {
        reasons.push(reason);
        resolve();
      },
    },
    random: () => 0,
  });
  const jobs = await bench.client.enqueueMany(task, payloads(1_000));
  await recycled;
  expect(worker.state).toBe("quiet");
  expect(reasons).toMatchObject([{ limit: "afterJobs" }]);
  expect(reasons[0]?.jobs).toBeGreaterThanOrEqual(20);
  expect(await bench.ledger.runningOf(worker.id)).toEqual([]);
  await worker[Symbol.asyncDispose]();
  const before = runs;
  await bench.worker([count], { concurrency: 50 });
  for (const { id } of jobs) await bench.until(id, "succeeded");
  expect([runs, before < 1_000]).toEqual([1_000, true]);
});

test("a worker above its memory recycles as well", async () => {
  const { promise: recycled, resolve } = Promise.withResolvers<RecycleReason>();
  await bench.worker([gated().handler], { recycle: { aboveRssBytes: 1, onRecycle: resolve } });
  expect((await recycled).limit).toBe("aboveRssBytes");
});
