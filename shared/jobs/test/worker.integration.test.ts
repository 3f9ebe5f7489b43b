import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { NonRetryableError, snooze } from "../src/errors.ts";
import { handle } from "../src/handle.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const double = defineJob({
  name: "double",
  payload: z.object({ n: z.number() }),
  result: z.object({ twice: z.number() }),
});

test("a job is enqueued, run and kept with its result", async () => {
  await bench.worker([handle(double, async ({ payload }) => ({ twice: payload.n * 2 }))]);
  const { id, created } = await bench.client.enqueue(double, { n: 21 });
  expect(created).toBe(true);
  const job = await bench.until(id, "succeeded");
  expect(job.result).toEqual({ twice: 42 });
  expect(job.attempt).toBe(1);
});

test("jobs added before any worker has started are run when one does", async () => {
  const added = await bench.client.enqueueMany(
    double,
    Array.from({ length: 120 }, (_, n) => ({ payload: { n } })),
  );
  const seen: number[] = [];
  await bench.worker([
    handle(double, ({ payload }) => {
      seen.push(payload.n);
      return { twice: 0 };
    }),
  ]);
  for (const { id } of added) await bench.until(id, "succeeded");
  expect(seen.sort((left, right) => left - right)).toEqual(Array.from({ length: 120 }, (_, n) => n));
});

test("a failed attempt is retried with backoff until its attempts are spent", async () => {
  const flaky = defineJob({
    name: "flaky",
    payload: z.object({}),
    attempts: 3,
    backoff: { kind: "fixed", delayMs: 30 },
  });
  const attempts: number[] = [];
  await bench.worker([
    handle(flaky, ({ attempt }) => {
      attempts.push(attempt);
      throw new Error(`no luck ${attempt}`);
    }),
  ]);
  bench.dispatch();
  const { id } = await bench.client.enqueue(flaky, {});
  const job = await bench.until(id, "dead");
  expect(attempts).toEqual([1, 2, 3]);
  expect(job.reason).toBe("JOB_ATTEMPTS_EXHAUSTED");
  expect(job.errors.map(({ message }) => message)).toEqual(["no luck 1", "no luck 2", "no luck 3"]);
  expect(await bench.metrics.value("warren_jobs_finished_total", { job: "flaky", state: "dead" })).toBe(1);
});

test("a non-retryable error ends the job at its first attempt", async () => {
  await bench.worker([
    handle(double, () => {
      throw new NonRetryableError("the number is cursed");
    }),
  ]);
  const { id } = await bench.client.enqueue(double, { n: 13 });
  const job = await bench.until(id, "dead");
  expect([job.reason, job.attempt]).toEqual(["JOB_NOT_RETRYABLE", 1]);
});

test("a snoozed job runs again without losing an attempt", async () => {
  const attempts: number[] = [];
  await bench.worker([
    handle(double, ({ attempt }) => {
      attempts.push(attempt);
      if (attempts.length < 3) snooze(10);
      return { twice: 1 };
    }),
  ]);
  bench.dispatch();
  const { id } = await bench.client.enqueue(double, { n: 1 });
  await bench.until(id, "succeeded");
  expect(attempts).toEqual([1, 1, 1]);
});

test("a job that snoozes without end is dead when it was started too often", async () => {
  const sleepy = defineJob({ name: "sleepy", payload: z.object({}), maxClaims: 4 });
  let starts = 0;
  await bench.worker([
    handle(sleepy, () => {
      starts += 1;
      snooze(0);
    }),
  ]);
  bench.dispatch();
  const { id } = await bench.client.enqueue(sleepy, {});
  const job = await bench.until(id, "dead");
  expect([job.reason, job.attempt, starts]).toEqual(["JOB_CLAIMS_EXHAUSTED", 4, 4]);
});

test("a handler sends a job straight to the dead ones with a reason of its own, whatever attempts remain", async () => {
  await bench.worker([
    handle(double, () => {
      throw new NonRetryableError("stolen", { reason: "CARD_STOLEN" });
    }),
  ]);
  const { id } = await bench.client.enqueue(double, { n: 1 });
  const job = await bench.until(id, "dead");
  expect([job.reason, job.attempt, job.errors[0]?.code]).toEqual(["CARD_STOLEN", 1, "JOB_NOT_RETRYABLE"]);
});
