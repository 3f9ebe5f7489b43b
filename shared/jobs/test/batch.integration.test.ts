import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { NonRetryableError, snooze } from "../src/errors.ts";
import { handle } from "../src/handle.ts";
import { failed, handleBatch, succeeded } from "../src/handle-batch.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
  bench.dispatch();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const item = defineJob({
  name: "item",
  payload: z.object({ n: z.number() }),
  result: z.object({ twice: z.number() }),
  attempts: 3,
  backoff: { kind: "fixed", delayMs: 0 },
});
const items = (count: number) => Array.from({ length: count }, (_, n) => ({ payload: { n } }));
const size = { maxSize: 10, maxWaitMs: 50 };

test("jobs are handled together, up to the size, and each has its own result", async () => {
  const sizes: number[] = [];
  await bench.worker([
    handleBatch(item, { ...size, maxWaitMs: 60_000 }, async (jobs) => {
      sizes.push(jobs.length);
      return jobs.map(({ payload }) => succeeded({ twice: payload.n * 2 }));
    }),
  ]);
  const jobs = await bench.client.enqueueMany(item, items(30));
  for (const [n, { id }] of jobs.entries())
    expect((await bench.until(id, "succeeded")).result).toEqual({ twice: n * 2 });
  expect([Math.max(...sizes), sizes.reduce((sum, one) => sum + one, 0), sizes.length]).toEqual([10, 30, 3]);
});

test("a batch that does not fill up starts after its time", async () => {
  await bench.worker([handleBatch(item, size, async (jobs) => jobs.map(() => succeeded({ twice: jobs.length })))]);
  const { id } = await bench.client.enqueue(item, { n: 1 });
  expect((await bench.until(id, "succeeded")).result).toEqual({ twice: 1 });
});

test("only the items that failed are retried, each with its own error; others keep their outcome", async () => {
  const seen: (readonly number[])[] = [];
  await bench.worker([
    handleBatch(item, size, async (jobs) => {
      seen.push(jobs.map(({ payload }) => payload.n));
      return jobs.map(({ payload: { n }, attempt }) =>
        n % 2 === 1 && attempt === 1 ? failed(new Error(`odd: ${n}`)) : succeeded({ twice: n }),
      );
    }),
  ]);
  const jobs = await bench.client.enqueueMany(item, items(10));
  for (const [n, { id }] of jobs.entries()) {
    const job = await bench.until(id, "succeeded");
    expect([job.attempt, job.errors.map(({ message }) => message)]).toEqual(n % 2 === 1 ? [2, [`odd: ${n}`]] : [1, []]);
  }
  const [first = [], ...retries] = seen;
  expect([...first].sort((left, right) => left - right)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(retries.flat().sort((left, right) => left - right)).toEqual([1, 3, 5, 7, 9]);
});

test("with Promise.allSettled every way to end a job works for an item alone", async () => {
  let late = true;
  await bench.worker([
    handleBatch(item, size, (jobs) =>
      Promise.allSettled(
        jobs.map(async ({ payload: { n } }) => {
          if (n === 0 && late) {
            late = false;
            snooze(10);
          }
          if (n === 1) throw new NonRetryableError("never", { reason: "BAD_ITEM" });
          if (n === 2) throw new Error("each time");
          return n === 3 ? ({ twice: "three" } as never) : { twice: n };
        }),
      ),
    ),
  ]);
  const jobs = await bench.client.enqueueMany(item, items(5));
  const ends = ["succeeded", "dead", "dead", "dead", "succeeded"];
  const found = [];
  for (const [index, { id }] of jobs.entries()) found.push(await bench.until(id, ends[index] ?? ""));
  expect(found.map(({ reason }) => reason)).toEqual([
    undefined,
    "BAD_ITEM",
    "JOB_ATTEMPTS_EXHAUSTED",
    "JOB_RESULT_INVALID",
    undefined,
  ]);
  expect([found[0]?.attempt, found[0]?.excused, found[2]?.attempt]).toEqual([2, 1, 3]);
});

test("a throw fails all items of its batch", async () => {
  let calls = 0;
  await bench.worker([
    handleBatch(item, size, async (jobs) => {
      calls += 1;
      if (calls === 1) throw new Error("the whole batch");
      return jobs.map(() => succeeded({ twice: 0 }));
    }),
  ]);
  const jobs = await bench.client.enqueueMany(item, items(10));
  for (const { id } of jobs)
    expect((await bench.until(id, "succeeded")).errors).toMatchObject([{ message: "the whole batch" }]);
});

test.for<{ what: string; answer: unknown }>([
  { what: "too few results", answer: [] },
  { what: "no results", answer: undefined },
  { what: "something else", answer: [{ state: "ok" }] },
])("with $what the items fail with a code that says so", async ({ answer }) => {
  await bench.worker([handleBatch(item, size, async () => answer as never)]);
  const { id } = await bench.client.enqueue(item, { n: 1 });
  expect((await bench.until(id, "dead")).errors.map(({ code }) => code)).toEqual(
    Array.from({ length: 3 }, () => "JOB_BATCH_RESULT_MISSING"),
  );
});

describe("each job of a batch keeps its own", () => {
  const limited = defineJob({
    name: "limited",
    payload: item.payload,
    timeoutMs: 200,
    hardTimeoutMs: 400,
    attempts: 1,
  });

  test("time limits: one that hangs is given up, the others end", async () => {
    const aborted: string[] = [];
    await bench.worker([
      handleBatch(limited, { maxSize: 2, maxWaitMs: 50 }, async (jobs) => {
        for (const { signal } of jobs)
          signal.addEventListener("abort", () => aborted.push((signal.reason as { code: string }).code), {
            once: true,
          });
        return new Promise(() => undefined);
      }),
      handle(item, () => ({ twice: 1 })),
    ]);
    const jobs = await bench.client.enqueueMany(limited, items(2));
    for (const { id } of jobs)
      expect((await bench.until(id, "dead")).errors).toMatchObject([{ code: "JOB_HARD_TIMEOUT" }]);
    expect(aborted).toEqual(["JOB_TIMEOUT", "JOB_TIMEOUT"]);
    const after = await bench.client.enqueue(item, { n: 1 });
    await bench.until(after.id, "succeeded");
  });

  test("fence: one that was taken away is refused, its neighbours are settled", async () => {
    const { promise: mayGo, resolve: go } = Promise.withResolvers<void>();
    await bench.worker([
      handleBatch(item, size, async (jobs) => {
        await mayGo;
        return jobs.map(({ payload }) => succeeded({ twice: payload.n }));
      }),
    ]);
    const [lost, kept] = await bench.client.enqueueMany(item, items(2));
    await bench.until(lost?.id ?? "", "running");
    await bench.until(kept?.id ?? "", "running");
    await bench.ledger.query(
      `update ${bench.ledger.table("jobs")} set state = 'ready', worker_id = null, attempt = attempt + 1,
       send_after = now() + interval '1 hour' where id = $1`,
      [lost?.id],
    );
    go();
    await bench.until(kept?.id ?? "", "succeeded");
    await waitFor(
      async () => (await bench.metrics.value("warren_job_attempts_total", { job: "item", outcome: "fenced" })) === 1,
    );
    expect((await bench.ledger.findJob(lost?.id ?? ""))?.state).toBe("ready");
  });
});

test("a batch whose worker stops is handed back whole, and loses no attempt", async () => {
  const worker = await bench.worker([handleBatch(item, size, () => new Promise(() => undefined))]);
  const jobs = await bench.client.enqueueMany(item, items(4));
  for (const { id } of jobs) await bench.until(id, "running");
  await worker.quiet();
  expect(await worker.drain(AbortSignal.timeout(10))).toBe(false);
  await worker[Symbol.asyncDispose]();
  await bench.worker([handleBatch(item, size, async (all) => all.map(({ attempt }) => succeeded({ twice: attempt })))]);
  for (const { id } of jobs) expect((await bench.until(id, "succeeded")).result).toEqual({ twice: 1 });
});

test.for<{ what: string; options: object; says: string }>([
  { what: "a size of 1", options: { maxSize: 1 }, says: "maxSize" },
  { what: "a size of NaN", options: { maxSize: Number.NaN }, says: "maxSize" },
  { what: "a negative wait", options: { maxWaitMs: -1 }, says: "maxWaitMs" },
  { what: "a wait as long as the time limit", options: { maxWaitMs: 300_000 }, says: "less than timeoutMs" },
  { what: "an unknown option", options: { size: 5 }, says: "unknown option" },
])("$what is refused", ({ options, says }) => {
  expect(() => handleBatch(item, { ...size, ...options }, async () => [])).toThrow(
    expect.objectContaining({ message: expect.stringContaining(says) }),
  );
});

test("a worker with fewer slots than a batch may have is refused", async () => {
  await expect(bench.worker([handleBatch(item, size, async () => [])], { concurrency: 5 })).rejects.toMatchObject({
    code: "JOB_OPTION_INVALID",
    message: expect.stringContaining("at least 10 slots"),
  });
});
