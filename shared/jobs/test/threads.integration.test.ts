import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defineJob } from "../src/define.ts";
import { chain, step } from "../src/flows/define-flow.ts";
import { handle } from "../src/handle.ts";
import { handleInThread, type ThreadOptions } from "../src/threads/handle-in-thread.ts";
import { type Bench, openBench } from "./fixture.ts";
import { followUp, hasty, work } from "./fixtures/thread-jobs.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
  bench.dispatch();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const file = new URL("./fixtures/thread-handlers.ts", import.meta.url);
const threadWorker = (name: string, options: ThreadOptions = {}, { hurried = false } = {}) =>
  bench.worker([
    handleInThread(work, file, { threads: 1, export: name, ...options }),
    ...(hurried ? [handleInThread(hasty, file, { threads: 1, export: name })] : []),
    handle(followUp, ({ payload }) => payload.from),
  ]);
const logged = (text: string) => bench.log.lines.filter(({ msg }) => msg === text);

test("a TypeScript handler runs in threads: payload in, result out, and the event loop is free meanwhile", async () => {
  await threadWorker("run", { threads: 2 });
  const jobs = await bench.client.enqueueMany(
    work,
    Array.from({ length: 6 }, () => ({ payload: { n: 20_000_000 } })),
  );
  const results: { readonly sum: number; readonly threadId: number }[] = [];
  for (const { id } of jobs) results.push((await bench.until(id, "succeeded")).result as (typeof results)[number]);
  expect(new Set(results.map(({ sum }) => sum))).toEqual(new Set([200_000_010_000_000]));
  const threads = new Set(results.map(({ threadId }) => threadId));
  expect([threads.size, threads.has(0)]).toEqual([2, false]);
});

test("progress and notes of a thread are kept like any other's, and refused where they cannot be", async () => {
  await threadWorker("telling");
  const { id } = await bench.client.enqueue(work, { n: 1 });
  const invalid = "JOB_PROGRESS_INVALID";
  expect((await bench.until(id, "succeeded")).result).toEqual([invalid, invalid, invalid]);
  expect(await bench.ledger.control.progress.get(id)).toMatchObject({ value: { page: 2 } });
  const { lines } = await bench.ledger.control.progress.lines(id, { after: undefined, limit: 10 });
  expect(lines.map(({ text }) => text)).toEqual(["first page"]);
});

describe("an abort crosses into the thread", () => {
  test("and reaches a handler that waits, which cleans up before it ends", async () => {
    await threadWorker("polite", {}, { hurried: true });
    const { id } = await bench.client.enqueue(hasty, { n: 1 });
    const job = await bench.until(id, "dead");
    expect(job.errors.map(({ code }) => code)).toEqual(["JOB_TIMEOUT"]);
    expect(logged("cleaned up")[0]).toMatchObject({ code: "JOB_TIMEOUT", jobId: id });
  });

  test("and reaches a loop that never waits, if it looks for it", async () => {
    await threadWorker("spin", {}, { hurried: true });
    const { id } = await bench.client.enqueue(hasty, { n: 1 });
    const job = await bench.until(id, "dead");
    expect(job.errors.map(({ code }) => code)).toEqual(["JOB_TIMEOUT"]);
    expect(await bench.metrics.value("warren_job_hard_timeouts_total")).toBe(0);
  });

  test("and where the handler ignores it, the hard timeout kills the thread and the next job gets another one", async () => {
    await threadWorker("stubborn", {}, { hurried: true });
    const { id } = await bench.client.enqueue(hasty, { n: 1 });
    const job = await bench.until(id, "dead");
    expect(job.errors.map(({ code }) => code)).toEqual(["JOB_HARD_TIMEOUT"]);
    // killed, not abandoned: nothing runs on
    await waitFor(async () => {
      await bench.metrics.text();
      return (await bench.metrics.value("warren_worker_abandoned_handlers")) === 0;
    });
    expect(logged("stubborn")).toHaveLength(1);
    const next = await bench.client.enqueue(hasty, { n: 2 });
    await waitFor(() => logged("stubborn").length === 2, { what: "the next job to run in another thread" });
    await bench.until(next.id, "dead");
  });
});

describe("a thread that dies", () => {
  test.for([
    { how: "process.exit(0)", n: 0, code: "JOB_THREAD_CRASHED", says: "code: 0" },
    { how: "process.exit(1)", n: 1, code: "JOB_THREAD_CRASHED", says: "code: 1" },
    { how: "an error that nobody caught", n: 10, code: "JOB_THREAD_CRASHED", says: "nobody caught this" },
    { how: "too much memory", n: 11, code: "JOB_THREAD_OUT_OF_MEMORY", says: "memory" },
  ])("of $how fails its attempt with a clear code, and the next job has a healthy one", async ({ n, code, says }) => {
    await threadWorker("die", { maxHeapMb: 32 });
    const { id } = await bench.client.enqueue(work, { n });
    const job = await bench.until(id, "succeeded");
    expect(job.errors).toMatchObject([{ attempt: 1, code, message: expect.stringContaining(says) }]);
    expect(await bench.metrics.value("warren_worker_thread_events_total", { job: "work", event: "died" })).toBe(1);
    const next = await bench.client.enqueue(work, { n: 0 });
    expect((await bench.until(next.id, "succeeded")).errors).toHaveLength(1);
  });
});

describe("what a handler says in its thread", () => {
  test("is what it says in the worker: snooze, no retry with a reason, error with cause, unserialisable result", async () => {
    await threadWorker("fail");
    const [snoozed, final, error, bigint] = await bench.client.enqueueMany(
      work,
      [1, 2, 3, 4].map((n) => ({ payload: { n } })),
    );
    expect((await bench.until(final?.id ?? "", "dead")).reason).toBe("CARD_STOLEN");
    const failed = await bench.until(error?.id ?? "", "dead");
    expect(failed.errors[0]).toMatchObject({ code: "JOB_FAILED", message: "no such thing" });
    expect(failed.errors[0]?.stack).toContain("thread-handlers.ts");
    expect((await bench.until(bigint?.id ?? "", "dead")).reason).toBe("JOB_RESULT_UNSERIALISABLE");
    await waitFor(async () => ((await bench.ledger.findJob(snoozed?.id ?? ""))?.excused ?? 0) >= 2);
  });

  test("logs under the job's ids, and enqueues what it was allowed to", async () => {
    await threadWorker("talk", { definitions: [followUp] });
    const { id } = await bench.client.enqueue(work, { n: 5 }, { correlationId: "request-7" });
    const job = await bench.until(id, "succeeded");
    const result = job.result as { id: string; refused: string[] };
    expect(result.refused).toEqual(["JOB_PAYLOAD_INVALID", "JOB_OPTION_INVALID"]);
    const child = await bench.until(result.id, "succeeded");
    expect([child.result, child.correlationId]).toEqual([id, "request-7"]);
    expect(logged("from the thread")).toMatchObject([{ jobId: id, n: 5, correlationId: "request-7", level: "info" }]);
    expect(logged("not to be cloned")).toMatchObject([{ jobId: id, level: "warn" }]);
  });
});

test("a handler in a thread reads what became of the nodes of its flow before it, and is told where it has none", async () => {
  await bench.worker([
    handle(followUp, ({ payload }) => `came from ${payload.from}`),
    handleInThread(work, file, { threads: 1, export: "flowing", definitions: [followUp] }),
  ]);
  const flow = chain("two", [
    step(followUp, { from: "here" }, { name: "first" }),
    step(work, { n: 1 }, { name: "second" }),
  ]);
  const { jobs } = await bench.client.startFlow(flow);
  const job = await bench.until(jobs["second"] ?? "", "succeeded");
  expect(job.result).toEqual({ first: "came from here", parents: ["succeeded"] });
  const alone = await bench.client.enqueue(work, { n: 2 });
  expect((await bench.until(alone.id, "succeeded")).result).toBe("FLOW_NONE");
});

test("a worker that is let go waits for the job in its thread, and then ends the threads", async () => {
  const worker = await threadWorker("slow");
  const { id } = await bench.client.enqueue(work, { n: 1 });
  await waitFor(() => logged("working").length === 1);
  await worker.quiet();
  expect(await worker.drain(AbortSignal.timeout(30_000))).toBe(true);
  await worker[Symbol.asyncDispose]();
  expect((await bench.ledger.findJob(id))?.result).toMatchObject({ fence: 1 });
});

test("a drain whose time is over kills the thread, and hands the job back without losing an attempt", async () => {
  const worker = await threadWorker("stubborn");
  const { id } = await bench.client.enqueue(work, { n: 1 });
  await waitFor(() => logged("stubborn").length === 1);
  await worker.quiet();
  expect(await worker.drain(AbortSignal.timeout(10))).toBe(false);
  await worker[Symbol.asyncDispose]();
  const job = await bench.ledger.findJob(id);
  expect([job?.state, job?.excused, job?.errors]).toEqual(["ready", 1, []]);
});

test("threads are made anew after their number of jobs, without losing or delaying one", async () => {
  await threadWorker("slow", { threads: 2, recycleAfterJobs: 1 });
  const threads = new Set<number>();
  let recycled = 0;
  while (recycled === 0 || threads.size < 3) {
    const jobs = await bench.client.enqueueMany(
      work,
      [1, 2].map((n) => ({ payload: { n } })),
    );
    for (const { id } of jobs) {
      const job = await bench.until(id, "succeeded");
      expect(job.errors).toEqual([]);
      threads.add((job.result as { threadId: number }).threadId);
    }
    recycled =
      (await bench.metrics.value("warren_worker_thread_events_total", { job: "work", event: "recycled" })) ?? 0;
  }
  expect(threads.has(0)).toBe(false);
});

describe("a wrong handler is refused", () => {
  test.for<{ what: string; make: () => unknown; code: string; says: string }>([
    {
      what: "a file that is not there",
      make: () => handleInThread(work, new URL("./nowhere.ts", import.meta.url)),
      code: "JOB_OPTION_INVALID",
      says: "does not exist",
    },
    {
      what: "a path instead of a URL",
      make: () => handleInThread(work, "./handlers.ts" as never),
      code: "JOB_OPTION_INVALID",
      says: "import.meta.url",
    },
    {
      what: "a URL of the web",
      make: () => handleInThread(work, new URL("https://example.com/x.ts")),
      code: "JOB_OPTION_INVALID",
      says: "file URL",
    },
    {
      what: "no threads",
      make: () => handleInThread(work, file, { threads: 0 }),
      code: "JOB_OPTION_INVALID",
      says: "threads",
    },
    {
      what: "NaN threads",
      make: () => handleInThread(work, file, { threads: Number.NaN }),
      code: "JOB_OPTION_INVALID",
      says: "threads",
    },
    {
      what: "an unknown option",
      make: () => handleInThread(work, file, { thread: 2 } as never),
      code: "JOB_OPTION_UNKNOWN",
      says: 'did you mean "threads"?',
    },
  ])("$what, at construction", ({ make, code, says }) => {
    expect(make).toThrow(expect.objectContaining({ code, message: expect.stringContaining(says) }));
  });

  test.for(["nothing", "notAFunction"])(
    "an export named %s that is no handler, when the worker starts",
    async (name) => {
      await expect(threadWorker(name)).rejects.toMatchObject({
        code: "JOB_THREAD_HANDLER_INVALID",
        message: expect.stringContaining("it exports"),
      });
      await expect(bench.ledger.beats()).resolves.toEqual([]);
    },
  );

  test("a payload that no thread can receive ends the job", async () => {
    const odd = defineJob({ name: "odd", payload: work.payload.transform(() => ({ call: () => 1 })) });
    await bench.worker([handleInThread(odd, file, { threads: 1 })]);
    const { id } = await bench.client.enqueue(odd, { n: 1 });
    expect((await bench.until(id, "dead")).reason).toBe("JOB_PAYLOAD_UNSERIALISABLE");
  });
});
