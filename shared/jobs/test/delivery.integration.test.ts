import { deadQueue, jobQueue, jobsExchange } from "@warren/amqp";
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

async function publish(body: unknown): Promise<void> {
  await using publisher = bench.session.publisher();
  const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  await publisher.publish({
    exchange: jobsExchange,
    routingKey: "default",
    body: bytes,
    messageId: crypto.randomUUID(),
  });
}

test("many messages for one job run it once, and leave nothing in the queue", async () => {
  const { id } = await bench.client.enqueue(note, { n: 1 });
  for (let copy = 0; copy < 20; copy += 1) await publish({ v: 1, jobs: copy % 2 === 0 ? [id] : [id, id] });
  let runs = 0;
  await bench.worker([handle(note, () => void (runs += 1))]);
  await bench.until(id, "succeeded");
  await publish({ v: 1, jobs: [id] });
  await waitFor(async () => {
    const facts = await bench.world.management.queue(bench.world.vhost, jobQueue("default"));
    return facts?.messages === 0;
  });
  expect(runs).toBe(1);
});

test.for([
  "not json",
  { v: 2, jobs: ["0190b5c0-0000-7000-8000-000000000000"] },
  { v: 1, jobs: [] },
  { v: 1, jobs: ["drop table"] },
])("the foreign message %j is set aside, its neighbour runs", async (body) => {
  await bench.worker([handle(note, () => undefined)]);
  await publish(body);
  const { id } = await bench.client.enqueue(note, { n: 1 });
  await bench.until(id, "succeeded");
  await waitFor(async () => (await bench.session.depth(deadQueue("default")))?.messages === 1);
  expect(await bench.metrics.value("warren_foreign_messages_total")).toBe(1);
});

test("never more handlers run at once than the worker has slots", async () => {
  let running = 0;
  let most = 0;
  await bench.worker(
    [
      handle(note, async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 5));
        running -= 1;
      }),
    ],
    { concurrency: 3 },
  );
  const jobs = await bench.client.enqueueMany(
    note,
    Array.from({ length: 60 }, (_, n) => ({ payload: { n } })),
  );
  for (const { id } of jobs) await bench.until(id, "succeeded");
  expect(most).toBe(3);
});

test("the jobs of a bundle that waits behind a long one are sent on to idle workers", async () => {
  const { promise: longJob, resolve: end } = Promise.withResolvers<void>();
  await bench.worker([handle(note, () => longJob)], { concurrency: 1, prefetch: 1 });
  const jobs = await bench.client.enqueueMany(
    note,
    Array.from({ length: 10 }, (_, n) => ({ payload: { n } })),
  );
  await waitFor(async () => {
    const states = await Promise.all(jobs.map(async ({ id }) => (await bench.ledger.findJob(id))?.state));
    return states.filter((state) => state === "running").length === 1;
  });
  await bench.worker([handle(note, () => "helped")], { concurrency: 10 });
  await waitFor(async () => {
    const found = await Promise.all(jobs.map(({ id }) => bench.ledger.findJob(id)));
    return found.filter((job) => job?.result === "helped").length >= 8;
  });
  end();
  for (const { id } of jobs) expect((await bench.until(id, "succeeded")).attempt).toBe(1);
});

test("a job that this worker does not know goes back for a newer worker, and is not lost", async () => {
  const newer = defineJob({ name: "note", version: 2, payload: z.object({ text: z.string() }) });
  const old = await bench.worker([handle(note, () => undefined)]);
  const { id } = await bench.client.enqueue(newer, { text: "hello" });
  const waiting = await bench.until(id, "retrying");
  expect([waiting.excused, waiting.runAt.getTime() > Date.now()]).toEqual([1, true]);
  await old[Symbol.asyncDispose]();
  await bench.worker([handle(newer, ({ attempt }) => attempt)]);
  bench.dispatch();
  expect((await bench.until(id, "succeeded")).result).toBe(1);
});

test("a payload that the worker's schema refuses ends the job with the path to the field", async () => {
  const stricter = defineJob({ name: "note", payload: z.object({ n: z.number().max(5) }) });
  await bench.worker([handle(stricter, () => undefined)]);
  const { id } = await bench.client.enqueue(note, { n: 6 });
  const job = await bench.until(id, "dead");
  expect(job.reason).toBe("JOB_PAYLOAD_INVALID");
  expect(job.errors[0]?.message).toContain("payload of note.n");
});

test("a custom backoff decides by the error, also later, and may stop", async () => {
  const errors: string[] = [];
  const custom = defineJob({
    name: "custom",
    payload: z.object({}),
    attempts: 9,
    backoff: async ({ attempt, error }) => {
      errors.push(`${attempt}: ${error instanceof Error ? error.message : ""}`);
      return attempt < 3 ? 1 : -1;
    },
  });
  await bench.worker([
    handle(custom, ({ attempt }) => {
      throw new Error(`try ${attempt}`);
    }),
  ]);
  bench.dispatch();
  const { id } = await bench.client.enqueue(custom, {});
  expect((await bench.until(id, "dead")).reason).toBe("JOB_BACKOFF_STOPPED");
  expect(errors).toEqual(["1: try 1", "2: try 2", "3: try 3"]);
});

test("the correlation id goes from the caller through the handler's log to the job it enqueues", async () => {
  const next = defineJob({ name: "next", payload: z.object({}) });
  await bench.worker([
    handle(note, async (job) => {
      job.log.info("in the handler");
      return (await job.enqueue(next, {})).id;
    }),
    handle(next, ({ correlationId }) => correlationId),
  ]);
  const { id } = await bench.client.enqueue(note, { n: 1 }, { correlationId: "request-1" });
  const child = String((await bench.until(id, "succeeded")).result);
  expect((await bench.until(child, "succeeded")).result).toBe("request-1");
  const line = bench.log.lines.find(({ msg }) => msg === "in the handler");
  expect(line).toMatchObject({ jobId: id, job: "note", attempt: 1, correlationId: "request-1" });
});

test("a schema whose own refinement throws costs an attempt, and leaves nothing running", async () => {
  const touchy = defineJob({
    name: "touchy",
    payload: z.object({}).refine(() => {
      if (armed) throw new Error("the refinement is broken");
      return true;
    }),
    attempts: 1,
  });
  let armed = false;
  const { id } = await bench.client.enqueue(touchy, {});
  armed = true;
  await bench.worker([handle(touchy, () => undefined)], { concurrency: 1 });
  expect((await bench.until(id, "dead")).errors[0]?.message).toBe("the refinement is broken");
});
