import { type Ledger, LedgerUnavailableError } from "@warren/ledger";
import { waitFor } from "@warren/testing";
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

const note = defineJob({ name: "note", payload: z.object({ n: z.number() }) });

/** The bench's ledger with some methods replaced. */
function ledgerWith(replaced: Partial<Ledger>): Ledger {
  return { ...bench.ledger, ...replaced };
}

async function expire(workerId: string): Promise<void> {
  await waitFor(
    async () => {
      const beat = (await bench.ledger.beats()).find(({ id }) => id === workerId);
      return beat !== undefined && (await bench.ledger.expireWorker(beat)).expired;
    },
    { what: "the worker to be taken for dead" },
  );
}

test("a worker that was taken for dead aborts its handlers and goes on under a new id", async () => {
  const reasons: unknown[] = [];
  const attempts: number[] = [];
  const worker = await bench.worker([
    handle(note, async ({ signal, attempt }) => {
      attempts.push(attempt);
      if (attempts.length > 1) return;
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      reasons.push((signal.reason as { code: string }).code);
    }),
  ]);
  const before = worker.id;
  const { id } = await bench.client.enqueue(note, { n: 1 });
  await bench.until(id, "running");
  await expire(before);
  await waitFor(() => worker.id !== before, { what: "a new id" });
  await waitFor(() => reasons.length === 1);
  const fenced = { job: "note", outcome: "fenced" };
  await waitFor(async () => (await bench.metrics.value("warren_job_attempts_total", fenced)) === 1);
  expect(reasons).toEqual(["JOB_LEASE_LOST"]);

  // what the old id lost, and new jobs, run under the new one
  await bench.ledger.query(`update ${bench.ledger.table("jobs")} set send_after = now()`, []);
  bench.dispatch();
  const job = await bench.until(id, "succeeded");
  expect([job.stalls, job.workerId, attempts]).toEqual([1, worker.id, [1, 1]]);
});

test("a job claimed by a statement whose answer was lost is handed back, not left running", async () => {
  let lost = 0;
  const ledger = ledgerWith({
    claim: async (claim) => {
      const jobs = await bench.ledger.claim(claim);
      if (lost++ === 0) throw new LedgerUnavailableError("the connection was cut after the commit");
      return jobs;
    },
  });
  const runs: number[] = [];
  await bench.worker([handle(note, ({ attempt }) => void runs.push(attempt))], { ledger });
  bench.dispatch();
  const { id } = await bench.client.enqueue(note, { n: 1 });
  const job = await bench.until(id, "succeeded");
  expect([job.attempt, job.excused, runs]).toEqual([2, 1, [1]]);
});

test("an outcome is kept and settled again until the ledger has answered", async () => {
  let failures = 0;
  const ledger = ledgerWith({
    settle: async (settlement) => {
      failures += 1;
      if (failures === 1) throw new LedgerUnavailableError("Postgres restarts");
      if (failures === 2) {
        await bench.ledger.settle(settlement);
        throw new LedgerUnavailableError("the answer was lost");
      }
      return bench.ledger.settle(settlement);
    },
  });
  const runs: number[] = [];
  await bench.worker([handle(note, ({ payload }) => runs.push(payload.n))], { ledger });
  const { id } = await bench.client.enqueue(note, { n: 5 });
  await bench.until(id, "succeeded");
  const counted = { job: "note", outcome: "succeeded" };
  await waitFor(async () => (await bench.metrics.value("warren_job_attempts_total", counted)) === 1);
  expect([runs, failures]).toEqual([[5], 3]);
});

test("while the ledger takes no outcomes, a worker claims only a bounded number of further jobs", async () => {
  let away = true;
  const ledger = ledgerWith({
    settle: async (settlement) => {
      if (away) throw new LedgerUnavailableError("away");
      return bench.ledger.settle(settlement);
    },
  });
  let runs = 0;
  await bench.worker([handle(note, () => void (runs += 1))], { ledger, concurrency: 10 });
  const jobs = await bench.client.enqueueMany(
    note,
    Array.from({ length: 400 }, (_, n) => ({ payload: { n } })),
  );
  await waitFor(() => runs >= 120);
  await bench.client.enqueue(note, { n: 0 });
  expect(runs).toBeLessThan(150);
  away = false;
  for (const { id } of jobs) await bench.until(id, "succeeded");
}, 60_000);
