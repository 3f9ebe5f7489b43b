import { handle } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Bench, note, openBench } from "./fixture.ts";

/** The gap is shorter than the lease, so that a machine that stands still makes the dispatcher look anew, and kills no worker. */
const leaseRule = { leaseMs: 3_000, maxGapMs: 2_800 };

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

/** A worker that claims a job and is never heard of again. */
async function claimAndDie(id: string): Promise<string> {
  const workerId = crypto.randomUUID();
  const { ledger } = bench;
  await ledger.registerWorker({ id: workerId, host: "gone", pid: 1, version: "", queues: ["notes"], concurrency: 1 });
  await ledger.claim({ workerId, ids: [id] });
  return workerId;
}

test("the job of a dead worker runs elsewhere, with one stall and no attempt lost", async () => {
  const { id } = await bench.quietClient.enqueue(note, { text: "orphan" });
  await claimAndDie(id);
  await bench.dispatcher({ leaseRule });
  const attempts: number[] = [];
  await bench.worker([handle(note, ({ attempt }) => void attempts.push(attempt))]);
  const job = await bench.until(id, "succeeded");
  expect([job.stalls, job.attempt, attempts]).toEqual([1, 2, [1]]);
});

test("a worker that beats is left alone, however long its job runs", async () => {
  await bench.dispatcher({ leaseRule });
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
  await bench.worker([handle(note, () => mayEnd)]);
  const { id } = await bench.client.enqueue(note, { text: "long" });
  const { claimedAt } = await bench.until(id, "running");
  await waitFor(() => Date.now() - (claimedAt?.getTime() ?? 0) > 2 * leaseRule.leaseMs, { what: "two leases" });
  end();
  const job = await bench.until(id, "succeeded");
  expect([job.stalls, job.attempt]).toEqual([0, 1]);
});

test("a job that kills every worker is dead when its stalls are spent, with its own reason", async () => {
  const [added] = await bench.quietClient.enqueueMany(note, [{ payload: { text: "poison" } }]);
  const id = added?.id ?? "";
  await bench.dispatcher({ leaseRule: { leaseMs: 300, maxGapMs: 5_000 } });
  for (let stall = 0; stall <= note.maxStalls; stall += 1) {
    await bench.until(id, "ready");
    await claimAndDie(id);
    await waitFor(async () => (await bench.ledger.findJob(id))?.state !== "running", { what: "its rescue" });
  }
  const job = await bench.until(id, "dead");
  expect([job.reason, job.stalls]).toEqual(["JOB_STALLED", note.maxStalls + 1]);
});
