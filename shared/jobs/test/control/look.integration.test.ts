import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { createControl, defineJob, handle, type JobEvent } from "../../src/index.ts";
import { type Bench, openBench } from "../fixture.ts";

const quick = { kind: "fixed", delayMs: 10 } as const;
const work = defineJob({ name: "work", payload: z.object({ n: z.number().optional() }), attempts: 2, backoff: quick });
const unknown = "01900000-0000-7000-8000-000000000000";
const control = (bench: Bench) =>
  createControl({ ledger: bench.ledger, session: bench.session, log: bench.log.logger });

test("progress and notes of a running job are seen from another process, and stay with the job", async () => {
  await using bench = await openBench();
  await using remote = control(bench);
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  await bench.worker([
    handle(work, async (job) => {
      for (let percent = 0; percent <= 50; percent += 1) job.progress({ percent });
      job.note("half way");
      await goOn;
      job.progress("done");
      job.note("the end");
    }),
  ]);
  const { id } = await bench.client.enqueue(work, {});
  await waitFor(async () => (await remote.job(id))?.progress !== undefined);
  await waitFor(async () => (await remote.lines(id)).lines.length > 0);
  expect(await remote.job(id)).toMatchObject({ state: "running", progress: { value: { percent: 50 }, attempt: 1 } });
  expect((await remote.lines(id)).lines).toMatchObject([{ attempt: 1, line: 0, text: "half way" }]);
  resolve();
  await bench.until(id, "succeeded");
  expect(await remote.job(id)).toMatchObject({ state: "succeeded", progress: { value: "done" } });
  expect((await remote.lines(id)).lines.map(({ text }) => text)).toEqual(["half way", "the end"]);
  expect(await remote.job(unknown)).toBeUndefined();
});

test("notes are capped, and the last line says so; progress that cannot be kept is a typed error", async () => {
  await using bench = await openBench();
  await using remote = control(bench);
  const refused: unknown[] = [];
  await bench.worker([
    handle(work, (job) => {
      for (const bad of [1n, undefined, "x".repeat(20_000)]) {
        try {
          job.progress(bad);
        } catch (error) {
          refused.push(error);
        }
      }
      for (let line = 0; line < 1_200; line += 1) job.note(`line ${line}\u0000`);
    }),
  ]);
  const { id } = await bench.client.enqueue(work, {});
  await bench.until(id, "succeeded");
  const first = await remote.lines(id, { limit: 1_000 });
  expect(first.lines).toHaveLength(1_000);
  expect(first.next).toBeUndefined();
  expect(first.lines[0]?.text).toBe("line 0\uFFFD");
  expect(first.lines.at(-1)?.text).toContain("further lines are dropped");
  expect(refused).toHaveLength(3);
  for (const error of refused) expect(error).toMatchObject({ code: "JOB_PROGRESS_INVALID" });
});

test("a result is waited for from another process, and had at once when the job has ended before", async () => {
  await using bench = await openBench();
  await using remote = control(bench);
  const { promise: goOn, resolve } = Promise.withResolvers<void>();
  await bench.worker([handle(work, async () => goOn.then(() => ({ answer: 42 })))]);
  const { id } = await bench.client.enqueue(work, {});
  const waiting = remote.waitFor(id);
  await sleep(50);
  resolve();
  expect(await waiting).toEqual({ answer: 42 });
  expect(await remote.waitFor(id)).toEqual({ answer: 42 });
  expect(await remote.result(id)).toEqual({ id, kind: "succeeded", name: "work", result: { answer: 42 } });
  const { rows } = await bench.ledger.query(`select 1 from ${bench.ledger.table("job_watches")}`, []);
  expect(rows).toEqual([]);
});

test("waiting without the broker asks the ledger", async () => {
  await using bench = await openBench();
  await using remote = createControl({ ledger: bench.ledger, log: bench.log.logger });
  await bench.worker([handle(work, async () => sleep(300, "late"))]);
  const { id } = await bench.client.enqueue(work, {});
  expect(await remote.waitFor(id)).toBe("late");
});

test("waiting says what became of a job that did not succeed, and gives up in time", async () => {
  await using bench = await openBench();
  await using remote = control(bench);
  await bench.worker([
    handle(work, () => {
      throw new Error("no luck");
    }),
  ]);
  bench.dispatch();
  const dead = await bench.client.enqueue(work, {});
  await expect(remote.waitFor(dead.id)).rejects.toMatchObject({
    code: "JOB_DEAD",
    details: { reason: "JOB_ATTEMPTS_EXHAUSTED", lastError: { message: "no luck" } },
  });
  const later = await bench.client.enqueue(work, {}, { delayMs: 60_000 });
  await expect(remote.waitFor(later.id, { timeoutMs: 150 })).rejects.toMatchObject({
    code: "JOB_WAIT_TIMEOUT",
    details: { state: "scheduled" },
  });
  const why = new Error("changed my mind");
  await expect(remote.waitFor(later.id, { signal: AbortSignal.abort(why) })).rejects.toBe(why);
  await remote.cancel(later.id, { reason: "not needed", by: "anna" });
  await expect(remote.waitFor(later.id)).rejects.toMatchObject({ code: "JOB_CANCELLED", details: { by: "anna" } });
  await expect(remote.waitFor(unknown)).rejects.toMatchObject({ code: "JOB_NOT_FOUND" });
});

test("a result is kept only as long as its definition says, completed in a transaction or not", async () => {
  await using bench = await openBench();
  await using remote = control(bench);
  const hour = 3_600_000;
  const brief = defineJob({ name: "brief", payload: z.object({ tx: z.boolean() }), resultTtlMs: hour });
  await bench.worker([
    handle(brief, async (job) => {
      if (job.payload.tx) await bench.ledger.transaction((tx) => job.complete(tx, "mine"));
      return "ours";
    }),
  ]);
  const back = (id: string, ms: number) =>
    bench.ledger.query(
      `update ${bench.ledger.table("result_expiries")} set expires_at = expires_at - $2 * interval '1 millisecond' where job_id = $1`,
      [id, ms],
    );
  for (const tx of [false, true]) {
    const { id } = await bench.client.enqueue(brief, { tx });
    expect(await remote.waitFor(id)).toBe(tx ? "mine" : "ours");
    // as if an hour had passed since; a minute less, and it would still be there
    await back(id, hour - 60_000);
    expect((await remote.result(id)).kind).toBe("succeeded");
    await back(id, 60_000);
    expect((await remote.result(id)).kind).toBe("expired");
    await expect(remote.waitFor(id)).rejects.toMatchObject({ code: "JOB_RESULT_EXPIRED" });
  }
  expect(() => defineJob({ name: "bad", payload: z.object({}), resultTtlMs: Number.NaN })).toThrow(/resultTtlMs/);
});

/** Collects events until one fits. */
async function collect(events: AsyncIterable<JobEvent>, last: (event: JobEvent) => boolean): Promise<JobEvent[]> {
  const seen: JobEvent[] = [];
  for await (const event of events) {
    seen.push(event);
    if (last(event)) break;
  }
  return seen;
}

test("a watcher sees what jobs of its queue do, in order, and the end of attempts once", async () => {
  await using bench = await openBench();
  await using remote = control(bench);
  await bench.worker([
    handle(work, (job) => {
      job.progress(job.payload.n);
      if (job.payload.n === 2) throw new Error("no luck");
    }),
  ]);
  bench.dispatch();
  const seen: JobEvent[] = [];
  const over = new AbortController();
  const watching = (async () => {
    for await (const event of remote.watch({ queue: "default", signal: over.signal })) seen.push(event);
  })();
  // workers have heard of it when their events come
  await waitFor(async () => {
    const { id } = await bench.client.enqueue(work, { n: 0 });
    await bench.until(id, "succeeded");
    return seen.some((event) => event.event === "active");
  });
  const good = await bench.client.enqueue(work, { n: 1 });
  const bad = await bench.client.enqueue(work, { n: 2 });
  await waitFor(() => seen.some(({ id, event }) => id === bad.id && event === "dead"));
  await waitFor(() => seen.some(({ id, event }) => id === good.id && event === "succeeded"));
  const eventsOf = (id: string) => seen.filter((event) => event.id === id);
  expect(eventsOf(good.id).map(({ event }) => event)).toEqual(["waiting", "active", "progress", "succeeded"]);
  expect(eventsOf(bad.id).map(({ event }) => event)).toEqual([
    "waiting",
    "active",
    "progress",
    "retrying",
    "waiting",
    "active",
    "progress",
    "dead",
  ]);
  expect(eventsOf(bad.id).filter(({ isExhausted }) => isExhausted)).toMatchObject([
    { event: "dead", reason: "JOB_ATTEMPTS_EXHAUSTED", code: "JOB_FAILED", name: "work", queue: "default" },
  ]);
  // an idle worker has nothing to tell
  const before = seen.length;
  await sleep(400);
  expect(seen).toHaveLength(before);
  over.abort();
  await watching;
});

test("while nobody watches workers tell nothing, and after a watch they stop", async () => {
  await using bench = await openBench();
  await using remote = control(bench);
  const told: string[] = [];
  await bench.session.declare((await import("@warren/amqp")).controlTopology);
  await using spy = bench.session.listen({
    name: "spy",
    bindings: [{ exchange: "warren.activity", routingKey: "#" }],
    onMessage: ({ routingKey }) => told.push(routingKey),
  });
  await spy.listening();
  await bench.worker([handle(work, () => undefined)]);
  const run = async (): Promise<string> => {
    const { id } = await bench.client.enqueue(work, {});
    await bench.until(id, "succeeded");
    return id;
  };
  await run();
  expect(told).toEqual([]);
  const seen = collect(remote.watch(), ({ event }) => event === "succeeded");
  await waitFor(async () => {
    await run();
    return told.length > 0;
  });
  await seen;
  await waitFor(async () => {
    told.length = 0;
    await run();
    return told.length === 0;
  });
  expect(told).toEqual([]);
});

test.for([
  { what: "an unknown option", call: { lmit: 1 }, says: /did you mean "limit"/ },
  { what: "a limit that is none", call: { limit: Number.NaN }, says: /"limit"/ },
  { what: "a state that is none", call: { states: ["done"] }, says: /"states/ },
  { what: "a negative limit", call: { limit: -1 }, says: /"limit"/ },
  { what: "a cursor that is none", call: { cursor: "x" }, says: /"cursor"/ },
])("a list refuses $what", async ({ call, says }) => {
  await using bench = await openBench();
  await using remote = createControl({ ledger: bench.ledger, log: bench.log.logger });
  await expect(remote.list(call as object)).rejects.toThrow(says);
  expect(() => remote.watch()).toThrow(/without a session/);
  await expect(remote.waitFor(unknown, { timeoutMs: -1 })).rejects.toMatchObject({ code: "JOB_OPTION_INVALID" });
  await expect(remote.bulk.start("cancel", { filter: {}, by: "a", reason: "b" })).rejects.toThrow(
    /at least one condition/,
  );
  await expect(remote.bulk.pause(unknown, { by: "a" })).rejects.toMatchObject({ code: "BULK_NOT_FOUND" });
});
