import { handle } from "@warren/jobs";
import { waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { dispatcherConfig } from "../src/config.ts";
import { type Bench, note, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

const hour = 3_600_000;

/** Makes every waiting job due, each so long after now; answers now. */
async function makeDue(after: string): Promise<number> {
  const { rows } = await bench.ledger.query(
    `update ${bench.ledger.table("jobs")} set run_at = now() + ${after} returning extract(epoch from now())::float8 * 1000 as now`,
    [],
  );
  return Math.floor(Number(rows[0]?.["now"]));
}

interface Run {
  readonly text: string;
  readonly at: number;
}

/** A handler that notes when each job started. */
function noting(): { readonly runs: Run[]; readonly handler: ReturnType<typeof handle> } {
  const runs: Run[] = [];
  return { runs, handler: handle(note, ({ payload }) => void runs.push({ text: payload.text, at: Date.now() })) };
}

test("a short delay behind a long one is not held up by it", async () => {
  const { runs, handler } = noting();
  await bench.worker([handler]);
  await bench.dispatcher();
  await bench.client.enqueue(note, { text: "long" }, { delayMs: hour });
  const { id } = await bench.client.enqueue(note, { text: "short" }, { delayMs: 200 });
  await bench.until(id, "succeeded");
  expect(runs).toMatchObject([{ text: "short" }]);
});

test.for([1, 3])(
  "with %s workers, delayed jobs reach each in the order of their due times, none early",
  async (workers) => {
    const runs: Run[][] = [];
    for (let index = 0; index < workers; index += 1) {
      const { runs: own, handler } = noting();
      runs.push(own);
      await bench.worker([handler], { concurrency: 1 });
    }
    await bench.dispatcher();
    const places = [7, 2, 9, 0, 5, 3, 8, 1, 6, 4];
    await Promise.all(places.map((place) => bench.client.enqueue(note, { text: String(place) }, { delayMs: hour })));
    const base = await makeDue("(payload->>'text')::int * interval '100 milliseconds'");
    await waitFor(() => runs.flat().length === places.length, { what: "every job to run" });
    for (const own of runs) expect(own.map(({ text }) => text)).toEqual(own.map(({ text }) => text).sort());
    for (const { text, at } of runs.flat()) expect(at).toBeGreaterThanOrEqual(base + Number(text) * 100);
  },
);

test("jobs of the same due time start in the order in which they were added", async () => {
  const started: string[] = [];
  await bench.worker([handle(note, ({ payload }) => void started.push(payload.text))], { concurrency: 1 });
  const at = new Date(Date.now() + hour);
  const texts = Array.from({ length: 60 }, (_, index) => String(index));
  const added = await bench.client.enqueueMany(
    note,
    texts.map((text) => ({ payload: { text }, at })),
  );
  expect(added.every(({ state }) => state === "scheduled")).toBe(true);
  await makeDue("interval '0'");
  await bench.dispatcher();
  await waitFor(() => started.length === 60, { what: "every job to run" });
  expect(started).toEqual(texts);
});

test("mixed delays, long, past, tiny and called off: each does what it should", async () => {
  const { runs, handler } = noting();
  await bench.worker([handler]);
  const { client } = bench;
  const long = await client.enqueue(note, { text: "long" }, { delayMs: 86_400_000 });
  const past = await client.enqueue(note, { text: "past" }, { at: new Date(Date.now() - 86_400_000) });
  const tiny = await client.enqueue(note, { text: "tiny" }, { delayMs: 1 });
  const none = await client.enqueue(note, { text: "none" }, { delayMs: 0 });
  const middle = await client.enqueue(note, { text: "middle" }, { delayMs: 300 });
  const calledOff = await client.enqueue(note, { text: "called off" }, { delayMs: 150 });
  await bench.ledger.delayed.cancel(calledOff.id, "changed my mind");
  await Promise.all([bench.dispatcher(), bench.dispatcher()]);
  for (const { id } of [past, tiny, none, middle]) await bench.until(id, "succeeded");
  expect(runs.map(({ text }) => text).sort()).toEqual(["middle", "none", "past", "tiny"]);
  expect(await bench.ledger.findJob(long.id)).toMatchObject({ state: "scheduled" });
  expect(await bench.ledger.findJob(calledOff.id)).toMatchObject({ state: "cancelled", reason: "changed my mind" });
});

test("a backlog of delayed jobs does not hold up a ready one", async () => {
  const { runs, handler } = noting();
  await bench.worker([handler]);
  await bench.dispatcher();
  await bench.client.enqueueMany(
    note,
    Array.from({ length: 2_000 }, (_, index) => ({ payload: { text: String(index) }, delayMs: hour })),
  );
  const { id } = await bench.client.enqueue(note, { text: "now" });
  await bench.until(id, "succeeded");
  expect(runs).toHaveLength(1);
});

test("a job that is run now, and one that is put off, run at their new times", async () => {
  const { runs, handler } = noting();
  await bench.worker([handler]);
  const { delayed } = bench.ledger;
  const putOff = await bench.client.enqueue(note, { text: "put off" }, { delayMs: 250 });
  await delayed.reschedule(putOff.id, { delayMs: hour });
  await bench.dispatcher();
  const hastened = await bench.client.enqueue(note, { text: "hastened" }, { delayMs: hour });
  await delayed.runNow(hastened.id);
  await bench.until(hastened.id, "succeeded");
  const { runAt } = await delayed.reschedule(putOff.id, { delayMs: 300 });
  await bench.until(putOff.id, "succeeded");
  expect(runs.map(({ text }) => text)).toEqual(["hastened", "put off"]);
  expect(runs[1]?.at).toBeGreaterThanOrEqual(runAt.getTime());
});

test("the dispatcher wakes when a job is due, however seldom it looks by itself", async () => {
  const { runs, handler } = noting();
  await bench.worker([handler]);
  const base = Date.now() + 1_500;
  const due = Array.from({ length: 5 }, (_, index) => base + index * 137);
  await Promise.all(due.map((at) => bench.client.enqueue(note, { text: String(at) }, { at: new Date(at) })));
  await bench.dispatcher({ config: { ...dispatcherConfig.parse({}), WARREN_POLL_MS: hour } });
  await waitFor(() => runs.length === due.length, { what: "every job to run" });
  for (const { text, at } of runs) expect(at).toBeGreaterThanOrEqual(Number(text));
});
