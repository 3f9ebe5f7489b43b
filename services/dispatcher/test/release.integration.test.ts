import { jobQueue } from "@warren/amqp";
import { handle } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Bench, note, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

test("a delayed job runs when its time has come, and not before", async () => {
  const ranAt: number[] = [];
  await bench.worker([handle(note, () => void ranAt.push(Date.now()))]);
  await bench.dispatcher();
  const dueAt = Date.now() + 400;
  const { id } = await bench.client.enqueue(note, { text: "later" }, { delayMs: 400 });
  await bench.until(id, "succeeded");
  expect(ranAt[0]).toBeGreaterThanOrEqual(dueAt);
});

test("a job enqueued inside a transaction is sent after the commit, and never after a rollback", async () => {
  const seen: string[] = [];
  await bench.worker([handle(note, ({ payload }) => void seen.push(payload.text))]);
  await bench.dispatcher();
  await expect(
    bench.ledger.transaction(async (run) => {
      await bench.client.enqueue(note, { text: "rolled back" }, { tx: run });
      throw new Error("changed my mind");
    }),
  ).rejects.toThrow("changed my mind");
  const { id } = await bench.ledger.transaction((run) =>
    bench.client.enqueue(note, { text: "committed" }, { tx: run }),
  );
  await bench.until(id, "succeeded");
  expect(seen).toEqual(["committed"]);
});

test("jobs that their enqueuer never published are sent, to a queue that no worker has declared yet", async () => {
  await bench.dispatcher();
  const jobs = await bench.quietClient.enqueueMany(
    note,
    Array.from({ length: 130 }, (_, index) => ({ payload: { text: String(index) } })),
  );
  await waitFor(async () => (await bench.depth(jobQueue("notes"))) > 0, { what: "messages in the new queue" });
  await bench.worker([handle(note, () => undefined)]);
  for (const { id } of jobs) expect((await bench.until(id, "succeeded")).attempt).toBe(1);
  expect(await bench.metrics.value("warren_unroutable_messages_total")).toBe(0);
});

test("several dispatchers share the work: every job is sent, none twice", async () => {
  await Promise.all([bench.dispatcher(), bench.dispatcher(), bench.dispatcher()]);
  await bench.quietClient.enqueueMany(
    note,
    Array.from({ length: 500 }, (_, index) => ({ payload: { text: String(index) } })),
  );
  const sent = () => bench.metrics.value("warren_dispatcher_jobs_sent_total", { queue: "notes", reason: "unsent" });
  await waitFor(async () => (await sent()) === 500, { what: "500 jobs to be sent" });
  await waitFor(async () => (await bench.ledger.takeUnsent({ limit: 1 })).length === 0);
  expect(await sent()).toBe(500);
});

test("messages that the broker lost are sent again", async () => {
  const dispatcher = await bench.dispatcher();
  const { id } = await bench.quietClient.enqueue(note, { text: "lost" });
  await waitFor(async () => (await bench.depth(jobQueue("notes"))) === 1);
  await bench.session.withChannel(async (channel) => {
    await channel.purgeQueue(jobQueue("notes"));
  });
  await waitFor(async () => (await bench.depth(jobQueue("notes"))) === 1, { what: "the message to be sent again" });
  // a claim that takes longer than 100 ms must not make it look lost once more
  await dispatcher[Symbol.asyncDispose]();
  expect(await bench.metrics.value("warren_dispatcher_jobs_sent_total", { reason: "lost" })).toBe(1);
  await bench.worker([handle(note, () => undefined)]);
  await bench.until(id, "succeeded");
});

test("a backlog that waits in the broker is not doubled, however old it is", async () => {
  await bench.dispatcher();
  await bench.quietClient.enqueueMany(note, [{ payload: { text: "a" } }, { payload: { text: "b" } }]);
  await waitFor(async () => (await bench.depth(jobQueue("notes"))) === 2);
  // several rounds of looking for lost ones, all past the limit of 100 ms
  const round = bench.metrics;
  const startedAt = Date.now();
  await waitFor(() => Date.now() - startedAt > 700, { what: "several rounds" });
  expect(await bench.depth(jobQueue("notes"))).toBe(2);
  expect(await round.value("warren_dispatcher_jobs_sent_total", { reason: "lost" })).toBeUndefined();
});
