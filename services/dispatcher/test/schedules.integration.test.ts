import { handle } from "@warren/jobs";
import type { NewSchedule } from "@warren/ledger";
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

const everySecond = (more: Partial<NewSchedule> = {}): NewSchedule => ({
  name: "tick",
  job: { queue: "notes", name: "note", version: 1, payload: { text: "tick" }, maxAttempts: 1, maxStalls: 1 },
  when: "every second",
  timeZone: "UTC",
  misfire: "once",
  overlap: "allow",
  ...more,
});

test("three dispatchers fire a schedule once each second, on the second, and its jobs run", async () => {
  const seconds: string[] = [];
  await bench.worker([handle(note, ({ givenId }) => void seconds.push(givenId ?? ""))]);
  await Promise.all([bench.dispatcher(), bench.dispatcher(), bench.dispatcher()]);
  await bench.ledger.schedules.upsert(everySecond({ limit: 4 }));
  await waitFor(async () => (await bench.ledger.schedules.get("tick"))?.state === "ended", {
    what: "four occurrences",
  });
  await waitFor(() => seconds.length === 4, { what: "four runs" });
  expect(new Set(seconds).size).toBe(4);
  const instants = seconds.map((id) => Date.parse(id.replace("schedule:tick:", ""))).sort((a, b) => a - b);
  expect(instants.every((instant) => instant % 1_000 === 0)).toBe(true);
  expect((instants.at(-1) ?? 0) - (instants[0] ?? 0)).toBeGreaterThanOrEqual(3_000);
  expect(await bench.metrics.value("warren_schedule_occurrences_total", { schedule: "tick", outcome: "fired" })).toBe(
    4,
  );
});

test("a queued occurrence starts when the run before it has ended", async () => {
  let running = 0;
  let most = 0;
  let runs = 0;
  const { promise: release, resolve } = Promise.withResolvers<void>();
  const handler = handle(note, async () => {
    running += 1;
    runs += 1;
    most = Math.max(most, running);
    await release;
    running -= 1;
  });
  await bench.worker([handler]);
  await bench.dispatcher();
  await bench.ledger.schedules.upsert(everySecond({ overlap: "queue", limit: 3 }));
  await waitFor(async () => (await bench.ledger.schedules.get("tick"))?.waiting.length === 2, { what: "two to wait" });
  expect(runs).toBe(1);
  resolve();
  await waitFor(() => runs === 3, { what: "the others to run" });
  expect(most).toBe(1);
});

test("an occurrence cancels the run before it: what waits is cancelled, what runs is asked to stop", async () => {
  const { promise: release, resolve } = Promise.withResolvers<void>();
  const ids: string[] = [];
  const handler = handle(note, async ({ id }) => {
    ids.push(id);
    await release;
  });
  await bench.worker([handler]);
  await bench.dispatcher();
  await bench.ledger.schedules.upsert(everySecond({ overlap: "cancel", limit: 2 }));
  await waitFor(() => ids.length === 2, { what: "two runs" });
  const first = await bench.ledger.findJob(ids[0] ?? "");
  expect(first?.cancelRequestedAt).toBeInstanceOf(Date);
  expect(first).toMatchObject({ cancelReason: "SCHEDULE_OVERLAP", cancelledBy: "schedule:tick" });
  expect((await bench.ledger.findJob(ids[1] ?? ""))?.cancelRequestedAt).toBeUndefined();
  resolve();
});

test("a schedule that this dispatcher cannot read is reported and left alone, and the others fire", async () => {
  const { ledger } = bench;
  await ledger.schedules.upsert(everySecond({ name: "bad", limit: 1 }));
  await ledger.query(`update ${ledger.table("schedules")} set fires = 'every blue moon'`, []);
  await bench.dispatcher();
  await ledger.schedules.upsert(everySecond({ limit: 2 }));
  await waitFor(async () => (await ledger.schedules.get("tick"))?.state === "ended", { what: "the good one to fire" });
  await waitFor(() => bench.lines.some((line) => line["schedule"] === "bad"), { what: "the bad one in the log" });
  expect(bench.lines.filter((line) => line["schedule"] === "bad")).toHaveLength(1);
});
