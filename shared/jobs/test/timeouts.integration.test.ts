import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { handle } from "../src/handle.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const limits = { timeoutMs: 60, hardTimeoutMs: 200, attempts: 2, backoff: { kind: "fixed", delayMs: 0 } } as const;
const slow = defineJob({ name: "slow", payload: z.object({}), ...limits });

test("past the soft timeout the signal aborts, and what the handler then throws is a failed attempt", async () => {
  const reasons: unknown[] = [];
  await bench.worker([
    handle(slow, async ({ signal, deadline }) => {
      expect(deadline.getTime() - Date.now()).toBeLessThanOrEqual(60);
      await sleep(10_000, undefined, { signal }).catch((error: unknown) => {
        reasons.push((signal.reason as { code: string }).code);
        throw error;
      });
    }),
  ]);
  bench.dispatch();
  const { id } = await bench.client.enqueue(slow, {});
  const job = await bench.until(id, "dead");
  expect(reasons).toEqual(["JOB_TIMEOUT", "JOB_TIMEOUT"]);
  expect(job.errors.map(({ code }) => code)).toEqual(["JOB_TIMEOUT", "JOB_TIMEOUT"]);
});

test("a handler that finishes although its signal aborted has succeeded", async () => {
  await bench.worker([handle(slow, async () => sleep(110).then(() => "late but done"))]);
  const { id } = await bench.client.enqueue(slow, {});
  expect((await bench.until(id, "succeeded")).result).toBe("late but done");
});

test("past the hard timeout the attempt has failed and its slot is free, though the handler never returns", async () => {
  const { promise: never, resolve: release } = Promise.withResolvers<void>();
  const quick = defineJob({ name: "quick", payload: z.object({}) });
  await bench.worker([handle(slow, () => never), handle(quick, () => "ran")], { concurrency: 1 });
  bench.dispatch();
  const { id } = await bench.client.enqueue(slow, {});
  const job = await bench.until(id, "dead");
  expect(job.errors.map(({ code }) => code)).toEqual(["JOB_HARD_TIMEOUT", "JOB_HARD_TIMEOUT"]);
  const after = await bench.client.enqueue(quick, {});
  await bench.until(after.id, "succeeded");
  expect(await bench.metrics.value("warren_job_hard_timeouts_total")).toBe(2);
  await bench.metrics.text();
  expect(await bench.metrics.value("warren_worker_abandoned_handlers")).toBe(2);
  release();
});
