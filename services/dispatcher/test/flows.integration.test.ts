import { chain, defineJob, handle, step } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const first = defineJob({ name: "first", queue: "notes", payload: z.object({}), maxStalls: 0 });
const second = defineJob({ name: "second", queue: "notes", payload: z.object({}) });
const flow = chain("two", [step(first, {}), step(second, {})]);

/** Claims a job like a worker that is never heard of again. */
async function claimAndDie(id: string) {
  const workerId = crypto.randomUUID();
  await bench.ledger.registerWorker({ id: workerId, host: "gone", pid: 1, version: "", queues: [], concurrency: 1 });
  const [claimed] = await bench.ledger.claim({ workerId, ids: [id] });
  return { ...claimed!, workerId };
}
const flowIs = (id: string, state: string) =>
  waitFor(async () => (await bench.ledger.flows.find(id))?.state === state, { what: `the flow to be ${state}` });

test("what comes after a job whose worker died right after its completion is sent by the dispatcher, once", async () => {
  const { id, jobs } = await bench.quietClient.startFlow(flow);
  const claimed = await claimAndDie(jobs["first"]!);
  const outcome = { kind: "succeeded", result: 1 } as const;
  await bench.ledger.transaction((run) => bench.ledger.settleIn(run, { ...claimed, outcome }));
  let ran = 0;
  await bench.worker([handle(second, () => void (ran += 1))]);
  await Promise.all([bench.dispatcher(), bench.dispatcher()]);
  await flowIs(id, "succeeded");
  expect(ran).toBe(1);
});

test("a job that stalls once too often fails its flow", async () => {
  const { id, jobs } = await bench.quietClient.startFlow(flow);
  await claimAndDie(jobs["first"]!);
  await bench.dispatcher({ leaseRule: { leaseMs: 300, maxGapMs: 5_000 } });
  await flowIs(id, "failed");
  expect((await bench.ledger.flows.find(id))?.reason).toBe("JOB_STALLED");
  expect((await bench.ledger.findJob(jobs["second"]!))?.state).toBe("cancelled");
});

test("a job that fell back to waiting in a flow that stops is cancelled by the dispatcher, and the flow ends", async () => {
  const { id, jobs } = await bench.quietClient.startFlow(flow);
  const { attempt, workerId } = await claimAndDie(jobs["first"]!);
  await bench.ledger.flows.cancel(id, { reason: "test", by: "test" });
  const outcome = { kind: "retrying", delayMs: 60_000, error: { code: "TEST", message: "again" } } as const;
  await bench.ledger.settle({ id: jobs["first"]!, attempt, workerId, outcome, linked: true });
  await bench.dispatcher();
  await flowIs(id, "cancelled");
  expect((await bench.ledger.findJob(jobs["first"]!))?.state).toBe("cancelled");
});
