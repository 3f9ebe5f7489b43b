import { setTimeout as sleep } from "node:timers/promises";
import { startTcpProxy, testServers, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { createControl, defineJob, handle, type Job, NonRetryableError, snooze } from "../../src/index.ts";
import { openBench } from "../fixture.ts";

const work = defineJob({ name: "work", payload: z.object({}), backoff: { kind: "fixed", delayMs: 10 } });
const why = { reason: "wrong customer", by: "anna" };

/** A handler that waits for its signal, and what it saw. */
function waiting(end: (job: Job<unknown, unknown>) => unknown) {
  const seen = { started: 0, abortedAt: 0, reasons: [] as unknown[] };
  const handler = handle(work, async (job) => {
    seen.started += 1;
    const { promise, resolve } = Promise.withResolvers<void>();
    job.signal.addEventListener("abort", () => resolve());
    await promise;
    seen.abortedAt = performance.now();
    seen.reasons.push(job.signal.reason);
    return end(job);
  });
  return { seen, handler };
}

test("a running job of another process is aborted within a second, cleans up, and says who and why", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  let isClean = false;
  const { seen, handler } = waiting(async (job) => {
    await sleep(50);
    isClean = true;
    throw job.signal.reason;
  });
  const worker = await bench.worker([handler], { heartbeatMs: 5_000 });
  const { id } = await bench.client.enqueue(work, {});
  await bench.until(id, "running");
  await waitFor(() => seen.started === 1);
  const askedAt = performance.now();
  expect(await control.cancel(id, why)).toEqual({ id, kind: "requested", workerId: worker.id });
  const job = await bench.until(id, "cancelled");
  // within a second, and three more for a machine that stands still; the next heartbeat would come after five
  expect(seen.abortedAt - askedAt).toBeLessThan(4_000);
  expect(isClean).toBe(true);
  expect(seen.reasons).toMatchObject([{ code: "JOB_CANCELLED", details: { reason: "wrong customer", by: "anna" } }]);
  expect(job).toMatchObject({
    reason: "wrong customer",
    cancelReason: "wrong customer",
    cancelledBy: "anna",
    errors: [],
  });
  expect(
    await bench.metrics.value("warren_jobs_finished_total", { queue: "default", job: "work", state: "cancelled" }),
  ).toBe(1);
});

test.for([
  {
    what: "an error of its own",
    end: () => {
      throw new Error("could not clean up");
    },
    errors: [{ code: "JOB_FAILED", message: "could not clean up" }],
  },
  {
    what: "an error that ends a job",
    end: () => {
      throw new NonRetryableError("no");
    },
    errors: [{ code: "JOB_NOT_RETRYABLE" }],
  },
  { what: "a snooze", end: () => snooze(1_000), errors: [] },
])("$what after the cancel does not bring the job back", async ({ end, errors }) => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  const { seen, handler } = waiting(end);
  await bench.worker([handler]);
  const { id } = await bench.client.enqueue(work, {});
  await waitFor(() => seen.started === 1);
  await control.cancel(id, why);
  const job = await bench.until(id, "cancelled");
  expect(job.errors).toMatchObject(errors);
  expect(seen.started).toBe(1);
});

test("a handler that ignores the signal and completes has succeeded", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  const { seen, handler } = waiting(() => "done all the same");
  await bench.worker([handler]);
  const { id } = await bench.client.enqueue(work, {});
  await waitFor(() => seen.started === 1);
  await control.cancel(id, why);
  expect(await bench.until(id, "succeeded")).toMatchObject({ result: "done all the same", cancelledBy: "anna" });
});

test("a worker that never hears the message finds it at its next heartbeat", async () => {
  await using proxy = await startTcpProxy({ targetPort: Number(new URL(testServers().amqpUrl).port) });
  await using bench = await openBench({ through: (url) => proxy.through(url) });
  // no session: no message is sent; and the worker's connection is cut besides
  await using control = createControl({ ledger: bench.ledger, log: bench.log.logger });
  const { seen, handler } = waiting((job) => {
    throw job.signal.reason;
  });
  await bench.worker([handler], { heartbeatMs: 300 });
  const { id } = await bench.client.enqueue(work, {});
  await waitFor(() => seen.started === 1);
  await proxy.refuse();
  await control.cancel(id, why);
  expect(await bench.until(id, "cancelled")).toMatchObject({ cancelledBy: "anna" });
});

test("a control channel that was cut reads the ledger as soon as it listens again", async () => {
  await using proxy = await startTcpProxy({ targetPort: Number(new URL(testServers().amqpUrl).port) });
  await using bench = await openBench({ through: (url) => proxy.through(url) });
  await using control = createControl({ ledger: bench.ledger, log: bench.log.logger });
  const { seen, handler } = waiting((job) => {
    throw job.signal.reason;
  });
  await bench.worker([handler], { heartbeatMs: 5_000 });
  const { id } = await bench.client.enqueue(work, {});
  await waitFor(() => seen.started === 1);
  await proxy.refuse();
  await control.cancel(id, why);
  await proxy.heal();
  await waitFor(() => bench.session.state().consume.kind === "connected");
  const connectedAt = performance.now();
  await bench.until(id, "cancelled");
  // within a second, and three more for a machine that stands still; the next heartbeat would come after five
  expect(seen.abortedAt - connectedAt).toBeLessThan(4_000);
});

test("a job whose worker dies after the cancel does not run again", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, log: bench.log.logger });
  const { id } = await bench.client.enqueue(work, {});
  // a worker that claims and is killed: it never beats
  const workerId = crypto.randomUUID();
  const killed = { host: "test", pid: 1, version: "0", queues: ["default"], concurrency: 1 };
  await bench.ledger.registerWorker({ id: workerId, ...killed });
  await bench.ledger.claim({ workerId, ids: [id] });
  expect(await control.cancel(id, why)).toEqual({ id, kind: "requested", workerId });
  // what the dispatcher does when there was no beat for a whole lease
  const [beat] = await bench.ledger.beats();
  expect(await bench.ledger.expireWorker(beat!)).toMatchObject({ rescued: [], dead: [], cancelled: [id] });
  expect(await bench.ledger.findJob(id)).toMatchObject({
    state: "cancelled",
    reason: "wrong customer",
    cancelledBy: "anna",
  });
  // should it live after all, its outcome is refused without harm
  const late = { id, attempt: 1, workerId, outcome: { kind: "succeeded", result: 1 } } as const;
  expect(await bench.ledger.settle(late)).toBe("fenced");
  expect(await bench.ledger.beat(workerId)).toMatchObject({ alive: false, cancels: [] });
});

test("jobs that wait end at once: ready, delayed, and between two attempts", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  const slow = defineJob({ name: "slow", payload: z.object({}), backoff: { kind: "fixed", delayMs: 60_000 } });
  const [ready, delayed, retrying] = await Promise.all([
    bench.client.enqueue(defineJob({ name: "nobody", queue: "nobody", payload: z.object({}) }), {}),
    bench.client.enqueue(work, {}, { delayMs: 60_000 }),
    bench.client.enqueue(slow, {}),
  ]);
  await bench.worker([
    handle(slow, () => {
      throw new Error("once");
    }),
  ]);
  await bench.until(retrying.id, "retrying");
  for (const { id } of [ready, delayed, retrying]) {
    expect(await control.cancel(id, why)).toEqual({ id, kind: "cancelled" });
    expect(await bench.ledger.findJob(id)).toMatchObject({
      state: "cancelled",
      reason: "wrong customer",
      cancelledBy: "anna",
    });
    expect(await control.cancel(id, why)).toEqual({ id, kind: "finished", state: "cancelled" });
  }
  const unknown = "01900000-0000-7000-8000-000000000000";
  expect(await control.cancel(unknown, why)).toEqual({ id: unknown, kind: "missing" });
});

test("a cancel inside the caller's transaction happens with its commit, and not with its rollback", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  const { seen, handler } = waiting((job) => {
    throw job.signal.reason;
  });
  await bench.worker([handler], { heartbeatMs: 100 });
  const { id } = await bench.client.enqueue(work, {});
  await waitFor(() => seen.started === 1);
  const rolledBack = bench.ledger.transaction(async (tx) => {
    expect(await control.cancel(id, { ...why, tx })).toMatchObject({ kind: "requested" });
    throw new Error("rolled back");
  });
  await expect(rolledBack).rejects.toThrow("rolled back");
  expect((await bench.ledger.findJob(id))?.cancelRequestedAt).toBeUndefined();
  await bench.ledger.transaction((tx) => control.cancel(id, { ...why, tx }));
  await bench.until(id, "cancelled");
});

test("a cancel that meets a settlement or a lost lease harms nobody", async () => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });
  let ran = 0;
  await bench.worker(
    [
      handle(work, () => {
        ran += 1;
      }),
    ],
    { concurrency: 20 },
  );
  const jobs = await bench.client.enqueueMany(
    work,
    Array.from({ length: 100 }, () => ({ payload: {} })),
  );
  const answers = await Promise.all(jobs.map(({ id }) => control.cancel(id, why)));
  for (const { id } of jobs) {
    await waitFor(async () => ["succeeded", "cancelled"].includes((await bench.ledger.findJob(id))?.state ?? ""));
  }
  const states = await Promise.all(jobs.map(async ({ id }) => (await bench.ledger.findJob(id))?.state));
  expect(states.filter((state) => state === "succeeded").length).toBeLessThanOrEqual(ran);
  // what was answered as over is over
  const told = answers.map((answer, index) => {
    if (answer.kind === "cancelled") return "cancelled";
    return answer.kind === "finished" ? answer.state : states[index];
  });
  expect(states).toEqual(told);
});

test.for([
  { what: "an id that is none", call: ["42", why], says: /expected the id of a job/ },
  { what: "no reason", call: [crypto.randomUUID(), { by: "anna" }], says: /"reason"/ },
  { what: "an unknown option", call: [crypto.randomUUID(), { ...why, raeson: "x" }], says: /did you mean "reason"/ },
  { what: "text that cannot be stored", call: [crypto.randomUUID(), { ...why, by: "\u0000" }], says: /U\+0000/ },
] as const)("$what is refused before anything happens", async ({ call, says }) => {
  await using bench = await openBench();
  await using control = createControl({ ledger: bench.ledger, log: bench.log.logger });
  const cancelling = control.cancel(call[0], call[1] as typeof why);
  await expect(cancelling).rejects.toThrow(says);
  await expect(cancelling).rejects.toMatchObject({ code: expect.stringMatching(/^JOB_OPTION_/) });
});
