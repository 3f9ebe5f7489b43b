import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { handle } from "../src/handle.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
  await bench.ledger.query("create table effects (job uuid)", []);
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const pay = defineJob({
  name: "pay",
  payload: z.object({}),
  result: z.object({ paid: z.boolean() }),
  attempts: 2,
  backoff: { kind: "fixed", delayMs: 0 },
});
const effects = async () => (await bench.ledger.query("select job from effects", [])).rows.length;

test("a handler completes its job in its own transaction: effect and completion are one commit", async () => {
  await bench.worker([
    handle(pay, async (job) => {
      await bench.ledger.transaction(async (run) => {
        await run("insert into effects values ($1)", [job.id]);
        await job.complete(run, { paid: true });
      });
      return { paid: false };
    }),
  ]);
  const { id } = await bench.client.enqueue(pay, {});
  const job = await bench.until(id, "succeeded");
  expect(job.result).toEqual({ paid: true });
  const counted = { job: "pay", outcome: "succeeded" };
  await waitFor(async () => (await bench.metrics.value("warren_job_attempts_total", counted)) === 1);
  expect((await bench.ledger.findJob(id))?.state).toBe("succeeded");
  expect(await effects()).toBe(1);
});

test("a transaction that rolls back takes the completion with it, even when the handler hides the error", async () => {
  await bench.worker([
    handle(pay, async (job) => {
      const attempt = bench.ledger.transaction(async (run) => {
        await run("insert into effects values ($1)", [job.id]);
        await job.complete(run, { paid: true });
        if (job.attempt === 1) throw new Error("constraint at commit");
      });
      await attempt.catch(() => undefined);
      return { paid: true };
    }),
  ]);
  bench.dispatch();
  const { id } = await bench.client.enqueue(pay, {});
  const job = await bench.until(id, "succeeded");
  expect([job.attempt, job.errors.map(({ code }) => code), await effects()]).toEqual([
    2,
    ["JOB_COMPLETION_ROLLED_BACK"],
    1,
  ]);
});

test("a job that was taken away refuses its old handler's completion, and the effects roll back", async () => {
  const { promise: mayGo, resolve: go } = Promise.withResolvers<void>();
  const refusals: unknown[] = [];
  const first = await bench.worker([
    handle(pay, async (job) => {
      await mayGo;
      const work = bench.ledger.transaction(async (run) => {
        await run("insert into effects values ($1)", [job.id]);
        await job.complete(run, { paid: true });
      });
      await work.catch((error: unknown) => {
        refusals.push((error as { code: string }).code);
        throw error;
      });
      return { paid: true };
    }),
  ]);
  const { id } = await bench.client.enqueue(pay, {});
  const second = crypto.randomUUID();
  await bench.ledger.registerWorker({ id: second, host: "x", pid: 1, version: "", queues: [], concurrency: 1 });
  await bench.until(id, "running");
  await waitFor(async () => {
    const beat = (await bench.ledger.beats()).find((one) => one.id === first.id);
    return beat !== undefined && (await bench.ledger.expireWorker(beat)).expired;
  });
  expect(await bench.ledger.claim({ workerId: second, ids: [id] })).toHaveLength(1);
  go();
  const fenced = { job: "pay", outcome: "fenced" };
  await waitFor(async () => (await bench.metrics.value("warren_job_attempts_total", fenced)) === 1);
  expect([refusals, await effects()]).toEqual([["JOB_FENCED"], 0]);
  expect((await bench.ledger.findJob(id))?.workerId).toBe(second);
});

test("a result that does not fit its schema ends the job with the path to the field", async () => {
  await bench.worker([handle(pay, () => ({ paid: "yes" }) as never)]);
  const { id } = await bench.client.enqueue(pay, {});
  const job = await bench.until(id, "dead");
  expect(job.reason).toBe("JOB_RESULT_INVALID");
  expect(job.errors[0]?.message).toContain("paid");
});

const cycle: Record<string, unknown> = {};
cycle["self"] = cycle;
test.for([
  { what: "a cycle", result: cycle },
  { what: "a BigInt", result: 1n },
  { what: "a character that Postgres refuses", result: "\u0000" },
])("a result with $what ends the job, and does not leave it running", async ({ result }) => {
  const any = defineJob({ name: "any", payload: z.object({}) });
  await bench.worker([handle(any, () => result)]);
  const { id } = await bench.client.enqueue(any, {});
  expect((await bench.until(id, "dead")).reason).toBe("JOB_RESULT_UNSERIALISABLE");
});
