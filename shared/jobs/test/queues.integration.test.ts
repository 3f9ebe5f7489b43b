import { jobsTopology } from "@warren/amqp";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { handle } from "../src/handle.ts";
import { type Bench, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
  await bench.session.declare(jobsTopology({ queues: ["critical", "low"] }));
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const define = (queue: string) => defineJob({ name: queue, queue, payload: z.object({}), bundleSize: 1 });
const jobs = { critical: define("critical"), default: define("default"), low: define("low") };
const payloads = (count: number) => Array.from({ length: count }, () => ({ payload: {} }));

async function succeeded(): Promise<number> {
  const { rows } = await bench.ledger.query(
    `select count(*)::int as n from ${bench.ledger.table("jobs_history")} where state = 'succeeded'`,
    [],
  );
  return Number(rows[0]?.["n"]);
}

const weights = { critical: 6, default: 3, low: 1 };

/** Of a hundred starts, beginning with the first of the lightest queue, how many were of each. */
function shares(starts: readonly string[]): readonly number[] {
  const from = starts.indexOf("low");
  const among = starts.slice(from, from + 100);
  return Object.keys(weights).map((queue) => among.filter((start) => start === queue).length);
}

/** Three backlogs, and a worker of one slot whose jobs take so long. */
async function drain(takesMs: (index: number) => number): Promise<readonly string[]> {
  for (const definition of Object.values(jobs)) await bench.client.enqueueMany(definition, payloads(100));
  const inQueues = async () =>
    Promise.all(Object.keys(jobs).map(async (queue) => (await bench.session.depth(`warren.jobs.${queue}`))?.messages));
  await waitFor(async () => (await inQueues()).every((messages) => messages === 100));
  const starts: string[] = [];
  await bench.worker(
    Object.values(jobs).map((definition) =>
      handle(definition, async ({ queue }) => {
        starts.push(queue);
        // the first lasts until all is fetched: the shares are of what is there
        if (starts.length === 1) await waitFor(async () => (await inQueues()).every((messages) => messages === 0));
        await new Promise((resolve) => setTimeout(resolve, takesMs(starts.length)));
      }),
    ),
    { queues: weights, concurrency: 1, prefetch: 150 },
  );
  await waitFor(async () => (await succeeded()) === 300, { timeoutMs: 50_000 });
  return starts;
}

test("of a backlog in three queues each gets its weight's share of the starts, and all of it is done", async () => {
  const starts = await drain(() => 1);
  const [critical, normal, low] = shares(starts);
  expect(Math.abs((critical ?? 0) - 60)).toBeLessThanOrEqual(2);
  expect(Math.abs((normal ?? 0) - 30)).toBeLessThanOrEqual(2);
  expect(Math.abs((low ?? 0) - 10)).toBeLessThanOrEqual(2);
  // work-conserving: when the heavy queues are empty the light one has all slots
  expect(new Set(starts.slice(-50))).toEqual(new Set(["low"]));
});

test("a worker that fetches only what it can start, because its jobs were long, keeps to the weights as well", async () => {
  const starts = await drain((index) => (index === 1 ? 1_600 : 1));
  const [critical, normal, low] = shares(starts);
  expect(Math.abs((critical ?? 0) - 60)).toBeLessThanOrEqual(8);
  expect(Math.abs((normal ?? 0) - 30)).toBeLessThanOrEqual(8);
  expect(Math.abs((low ?? 0) - 10)).toBeLessThanOrEqual(4);
});

test("a flood in a heavy queue does not keep a job of the lightest one waiting", async () => {
  await bench.client.enqueueMany(jobs.critical, payloads(300));
  let criticalBefore = 0;
  let critical = 0;
  const { promise: there, resolve: isThere } = Promise.withResolvers<void>();
  await bench.worker(
    [
      handle(jobs.critical, async () => {
        critical += 1;
        if (critical > 20) await there;
      }),
      handle(jobs.low, () => {
        criticalBefore = critical;
      }),
    ],
    { queues: { critical: 20, low: 1 }, concurrency: 2, prefetch: 50 },
  );
  await waitFor(() => critical > 20);
  const { id } = await bench.client.enqueue(jobs.low, {});
  const sent = () => bench.metrics.value("warren_job_messages_total", { queue: "low", outcome: "confirmed" });
  await waitFor(async () => (await sent()) === 1 && (await bench.session.depth("warren.jobs.low"))?.messages === 0);
  isThere();
  await bench.until(id, "succeeded");
  expect(criticalBefore).toBeLessThan(150);
});

test("a worker full of long jobs hands the messages it cannot start to idle workers, and takes no more until it has room", async () => {
  const { promise: end, resolve: finish } = Promise.withResolvers<string>();
  const definition = jobs.default;
  const busy = await bench.worker([handle(definition, () => end.then(() => "busy"))], { concurrency: 2, prefetch: 10 });
  const enqueued = await bench.client.enqueueMany(definition, payloads(8));
  await waitFor(async () => (await bench.ledger.runningOf(busy.id)).length === 2);
  await bench.worker([handle(definition, () => "idle")], { concurrency: 5 });
  const results = async () => Promise.all(enqueued.map(async ({ id }) => (await bench.ledger.findJob(id))?.result));
  await waitFor(async () => (await results()).filter((result) => result === "idle").length === 6, {
    what: "six of the eight to run elsewhere",
  });
  expect(await bench.metrics.value("warren_worker_sent_on_messages_total")).toBeGreaterThan(0);
  // nothing is left with it: what comes now goes to the idle one at once
  const { id } = await bench.client.enqueue(definition, {});
  expect((await bench.until(id, "succeeded")).result).toBe("idle");
  finish("");
  await waitFor(async () => (await results()).filter((result) => result === "busy").length === 2);
  // with slots free it takes part again
  const more = await bench.client.enqueueMany(definition, payloads(40));
  await waitFor(async () => {
    const found = await Promise.all(more.map(({ id: one }) => bench.ledger.findJob(one)));
    return found.every((job) => job?.state === "succeeded") && found.some((job) => job?.result === "busy");
  });
});

test("a definition's cap holds, its queue's surplus goes to other workers, and its neighbours do not wait", async () => {
  let inside = 0;
  let most = 0;
  const { promise: end, resolve: finish } = Promise.withResolvers<void>();
  await bench.worker(
    [
      handle(
        jobs.low,
        async () => {
          inside += 1;
          most = Math.max(most, inside);
          await end;
          inside -= 1;
          return "capped";
        },
        { concurrency: 2 },
      ),
      handle(jobs.default, () => "neighbour"),
    ],
    { concurrency: 10 },
  );
  const capped = await bench.client.enqueueMany(jobs.low, payloads(6));
  await waitFor(() => inside === 2);
  const neighbours = await bench.client.enqueueMany(jobs.default, payloads(20));
  for (const { id } of neighbours) await bench.until(id, "succeeded");
  await bench.worker([handle(jobs.low, () => "other")]);
  const results = async () => Promise.all(capped.map(async ({ id }) => (await bench.ledger.findJob(id))?.result));
  await waitFor(async () => (await results()).filter((result) => result === "other").length === 4);
  finish();
  for (const { id } of capped) await bench.until(id, "succeeded");
  expect(most).toBe(2);
});

test("in a mixed queue a definition's cap holds as well, and all jobs are run", async () => {
  let inside = 0;
  let most = 0;
  const careful = defineJob({ name: "careful", payload: z.object({}) });
  await bench.worker(
    [
      handle(
        careful,
        async () => {
          inside += 1;
          most = Math.max(most, inside);
          await new Promise((resolve) => setTimeout(resolve, 3));
          inside -= 1;
        },
        { concurrency: 2 },
      ),
      handle(jobs.default, () => undefined),
    ],
    { concurrency: 8 },
  );
  await Promise.all([
    bench.client.enqueueMany(careful, payloads(30)),
    bench.client.enqueueMany(jobs.default, payloads(30)),
  ]);
  await waitFor(async () => (await succeeded()) === 60);
  expect(most).toBe(2);
});
