import { chord, createControl, defineJob, handle, step } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { note, openBench } from "./fixture.ts";

test("dispatchers do a bulk cancel: jobs that wait are over, the signal of one that runs aborts", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, log: bench.log });
  const long = defineJob({ name: "long", queue: "notes", payload: z.object({}) });
  let started = false;
  await bench.worker([
    handle(long, async (job) => {
      started = true;
      await new Promise((resolve) => job.signal.addEventListener("abort", resolve));
      throw job.signal.reason;
    }),
  ]);
  const running = await bench.client.enqueue(long, {});
  await waitFor(() => started);
  const waiting = await bench.client.enqueueMany(
    note,
    Array.from({ length: 30 }, () => ({ payload: { text: "x" }, delayMs: 60_000 })),
  );
  const operation = await control.bulk.start("cancel", {
    filter: { queue: "notes" },
    by: "anna",
    reason: "stop it all",
  });
  expect(operation.matched).toBe(31);
  await Promise.all([bench.dispatcher(), bench.dispatcher()]);
  for (const { id } of [running, ...waiting]) {
    expect(await bench.until(id, "cancelled")).toMatchObject({ reason: "stop it all", cancelledBy: "anna" });
  }
  const done = await waitFor(async () => {
    const found = await control.bulk.get(operation.id);
    return found.state === "done" ? found : undefined;
  });
  expect(done).toMatchObject({ changed: 31, skipped: 0, by: "anna" });
  await expect(control.bulk.pause(operation.id, { by: "anna" })).rejects.toMatchObject({ code: "BULK_FINISHED" });
});

test("dead jobs that a bulk retry brings back, flows among them, are published again, and expired results are swept", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log });
  const flaky = defineJob({ name: "flaky", queue: "notes", attempts: 1, resultTtlMs: 300, payload: z.object({}) });
  const last = defineJob({ name: "last", queue: "notes", payload: z.object({}) });
  let isMended = false;
  const called: (string | undefined)[] = [];
  await bench.worker([
    handle(flaky, () => {
      if (!isMended) throw new Error("broken");
      return "fine";
    }),
    handle(last, (job) => void called.push(job.flow.id)),
  ]);
  const jobs = await bench.client.enqueueMany(flaky, [{ payload: {} }, { payload: {} }]);
  const part = (name: string) => step(flaky, {}, { name, onFailure: "continue" });
  const flow = await bench.client.startFlow(chord("two", [part("a"), part("b")], step(last, {})));
  for (const { id } of jobs) await bench.until(id, "dead");
  await bench.dispatcher();
  const filter = { reason: "JOB_ATTEMPTS_EXHAUSTED" };
  await waitFor(async () => (await bench.ledger.flows.find(flow.id))?.state === "failed");
  isMended = true;
  expect(await control.bulk.count("retry", filter)).toBe(4);
  await control.bulk.start("retry", { filter, by: "anna", reason: "mended", rate: 100 });
  for (const { id } of jobs) {
    await bench.until(id, "succeeded");
    await waitFor(async () => (await bench.ledger.findJob(id))?.result === undefined);
    expect(await control.result(id)).toEqual({ id, kind: "expired" });
  }
  await waitFor(async () => (await bench.ledger.flows.find(flow.id))?.state === "succeeded");
  expect(called).toEqual([flow.id]);
});
