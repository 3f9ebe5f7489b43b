import { jobQueue } from "@warren/amqp";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { snooze } from "../src/errors.ts";
import { handle } from "../src/handle.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const task = defineJob({ name: "task", payload: z.object({}), attempts: 1 });

/** A handler that waits for `end`. */
function blocking() {
  const { promise, resolve } = Promise.withResolvers<string>();
  return { handler: handle(task, () => promise), end: () => resolve("done") };
}

test("quiet gives unclaimed messages to other workers at once; what runs, runs on and is settled", async () => {
  const { handler, end } = blocking();
  const leaving = await bench.worker([handler], { concurrency: 1, prefetch: 5 });
  const jobs = [];
  for (let index = 0; index < 4; index += 1) jobs.push(await bench.client.enqueue(task, {}));
  await bench.until(jobs[0]?.id ?? "", "running");
  await waitFor(async () => (await bench.session.depth(jobQueue("default")))?.messages === 0);
  await leaving.quiet();
  await bench.worker([handle(task, () => "elsewhere")]);
  for (const { id } of jobs.slice(1)) expect((await bench.until(id, "succeeded")).result).toBe("elsewhere");
  end();
  expect(await leaving.drain(AbortSignal.timeout(30_000))).toBe(true);
  const job = await bench.ledger.findJob(jobs[0]?.id ?? "");
  expect([job?.state, job?.result]).toEqual(["succeeded", "done"]);
});

test("what has not ended by the deadline is handed back without losing its only attempt", async () => {
  const reasons: unknown[] = [];
  const worker = await bench.worker([
    handle(task, async ({ signal }) => {
      await new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          reasons.push((signal.reason as { code: string }).code);
          reject(signal.reason as Error);
        });
      });
    }),
  ]);
  const { id } = await bench.client.enqueue(task, {});
  await bench.until(id, "running");
  await worker.quiet();
  expect(await worker.drain(AbortSignal.timeout(30))).toBe(false);
  const returned = await bench.until(id, "ready");
  expect([returned.attempt, returned.excused, reasons]).toEqual([1, 1, ["JOB_WORKER_STOPPING"]]);
  await worker[Symbol.asyncDispose]();
  await bench.worker([handle(task, ({ attempt }) => attempt)]);
  bench.dispatch();
  expect((await bench.until(id, "succeeded")).result).toBe(1);
});

test("a handler that ignores its signal is handed back, too", async () => {
  const { handler, end } = blocking();
  const worker = await bench.worker([handler]);
  const { id } = await bench.client.enqueue(task, {});
  await bench.until(id, "running");
  await worker.quiet();
  await worker.drain(AbortSignal.timeout(1));
  expect((await bench.ledger.findJob(id))?.state).toBe("ready");
  end();
});

test("a worker let go without a drain leaves nothing running under its name", async () => {
  const { handler, end } = blocking();
  const worker = await bench.worker([handler]);
  const { id } = await bench.client.enqueue(task, {});
  await bench.until(id, "running");
  await worker[Symbol.asyncDispose]();
  await worker[Symbol.asyncDispose]();
  const job = await bench.ledger.findJob(id);
  expect([job?.state, job?.excused]).toEqual(["ready", 1]);
  expect(await bench.ledger.beats()).toEqual([]);
  end();
});

test("a worker starts once, and can be let go before it has started", async () => {
  const worker = await bench.worker([blocking().handler]);
  await expect(worker.start()).rejects.toMatchObject({ code: "WORKER_STATE_INVALID" });
  await worker[Symbol.asyncDispose]();
  await expect(worker.start()).rejects.toMatchObject({ code: "WARREN_CLOSED" });
});

test("a handler that snoozes when it is told to stop ends the drain, and is run later", async () => {
  const worker = await bench.worker([
    handle(task, async ({ signal }) => {
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      snooze(20);
    }),
  ]);
  const { id } = await bench.client.enqueue(task, {});
  await bench.until(id, "running");
  await worker.quiet();
  expect(await worker.drain(AbortSignal.timeout(20))).toBe(false);
  await worker[Symbol.asyncDispose]();
  const job = await bench.ledger.findJob(id);
  expect([job?.state, job?.excused]).toEqual(["retrying", 1]);
});

test("a handler that fails while its worker drains has failed, and is recorded", async () => {
  const { promise, reject } = Promise.withResolvers<never>();
  const worker = await bench.worker([handle(task, () => promise)]);
  const { id } = await bench.client.enqueue(task, {});
  await bench.until(id, "running");
  await worker.quiet();
  reject(new Error("at the end"));
  expect(await worker.drain(AbortSignal.timeout(30_000))).toBe(true);
  expect((await bench.ledger.findJob(id))?.errors).toMatchObject([{ message: "at the end" }]);
});

test("the end of a worker does not wait for jobs that are only due later", async () => {
  const later = defineJob({ name: "later", payload: z.object({}), backoff: { kind: "fixed", delayMs: 600_000 } });
  const worker = await bench.worker([
    handle(later, () => {
      throw new Error("again in ten minutes");
    }),
  ]);
  const { id } = await bench.client.enqueue(later, {});
  await bench.client.enqueue(later, {}, { delayMs: 600_000 });
  await bench.until(id, "retrying");
  await worker.quiet();
  expect(await worker.drain(AbortSignal.timeout(30_000))).toBe(true);
});

test("the lease goes on through the drain: nobody takes the jobs of a worker that is finishing them", async () => {
  const { handler, end } = blocking();
  const worker = await bench.worker([handler], { heartbeatMs: 20 });
  const { id } = await bench.client.enqueue(task, {});
  await bench.until(id, "running");
  await worker.quiet();
  const draining = worker.drain(AbortSignal.timeout(30_000));
  const beatOf = async () => (await bench.ledger.beats()).find((beat) => beat.id === worker.id)?.beatSeq;
  const before = Number(await beatOf());
  await waitFor(async () => Number(await beatOf()) > before + 3, { what: "beats during the drain" });
  end();
  expect(await draining).toBe(true);
  const job = await bench.ledger.findJob(id);
  expect([job?.state, job?.stalls]).toEqual(["succeeded", 0]);
});
