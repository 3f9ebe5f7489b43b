import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Ledger } from "../src/ledger.ts";
import { aJob, enqueueOne, type LedgerWorld, openLedgerWorld } from "./support/ledger-world.ts";

let world: LedgerWorld;
let ledger: Ledger;
beforeAll(async () => {
  world = await openLedgerWorld();
  ledger = world.ledger;
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});
beforeEach(() => world.clear());

const hour = 3_600_000;
const due = async (limit = 100): Promise<readonly string[]> => (await ledger.takeDue({ limit })).map(({ id }) => id);

/** Two hours go by for whatever waits. */
const twoHoursPass = () => ledger.query(`update ${ledger.table("jobs")} set run_at = run_at - interval '2 hours'`, []);

test("jobs of the same due time are released in the order in which they were added, in every round", async () => {
  const runAt = new Date(Date.now() + hour);
  const added: string[] = [];
  for (let call = 0; call < 30; call += 1) {
    for (const { id } of await ledger.enqueue([aJob({ runAt }), aJob({ runAt })])) added.push(id);
  }
  expect(await due()).toEqual([]);
  await twoHoursPass();
  const released: string[] = [];
  for (let round = 0; round < 9; round += 1) released.push(...(await due(7)));
  expect(released).toEqual(added);
});

test("jobs are released in the order of their due times, whatever the order in which they were added", async () => {
  const delays = [90, 10, 50, 70, 30, 0, 80, 20, 60, 40];
  const added = await Promise.all(delays.map((delay) => enqueueOne(ledger, { delayMs: hour + delay })));
  const far = await enqueueOne(ledger, { delayMs: 3 * hour });
  await twoHoursPass();
  const { rows } = await ledger.query(`select id from ${ledger.table("jobs")} order by run_at`, []);
  const released = await due();
  expect(released).toEqual(rows.map((row) => row["id"]).filter((id) => id !== far));
  expect([...released].sort()).toEqual([...added].sort());
  expect(await ledger.findJob(far)).toMatchObject({ state: "scheduled" });
});

test("a due time in the past is now", async () => {
  const [added] = await ledger.enqueue([aJob({ runAt: new Date(0) })]);
  expect(added?.state).toBe("ready");
});

test("a waiting job can be run now, and all of a queue or name in the order in which they would have run", async () => {
  const one = await enqueueOne(ledger, { delayMs: 2 * hour });
  await ledger.delayed.runNow(one);
  expect(await due()).toEqual([one]);

  const late = await enqueueOne(ledger, { delayMs: 3 * hour, name: "a" });
  const early = await enqueueOne(ledger, { delayMs: hour, name: "a" });
  const other = await enqueueOne(ledger, { delayMs: hour, name: "b" });
  const elsewhere = await enqueueOne(ledger, { delayMs: hour, name: "a", queue: "other" });
  expect(await ledger.delayed.runAllNow({ name: "a", queue: "default" })).toEqual({ jobs: 2 });
  expect(await due()).toEqual([early, late]);
  expect(await ledger.delayed.runAllNow({ queue: "default" })).toEqual({ jobs: 1 });
  expect(await due()).toEqual([other]);
  expect(await ledger.delayed.runAllNow({ name: "a" })).toEqual({ jobs: 1 });
  expect(await due()).toEqual([elsewhere]);
  expect(await ledger.delayed.runAllNow({ name: "a" })).toEqual({ jobs: 0 });
});

test("a retry can be run now instead of after its backoff, and is the same attempt that it would have been", async () => {
  const id = await enqueueOne(ledger);
  const workerId = await world.worker();
  await ledger.claim({ workerId, ids: [id] });
  const error = { code: "JOB_FAILED", message: "no" };
  await ledger.settle({ id, attempt: 1, workerId, outcome: { kind: "retrying", delayMs: hour, error } });
  await ledger.delayed.runNow(id);
  expect(await due()).toEqual([id]);
  expect(await ledger.claim({ workerId, ids: [id] })).toMatchObject([{ attempt: 2, excused: 0 }]);
});

test("a waiting job can be put off and brought forward", async () => {
  const id = await enqueueOne(ledger, { delayMs: hour });
  const at = new Date("2100-01-01T00:00:00Z");
  expect(await ledger.delayed.reschedule(id, { runAt: at })).toEqual({ runAt: at });
  expect((await ledger.findJob(id))?.runAt).toEqual(at);
  const before = Date.now();
  const { runAt } = await ledger.delayed.reschedule(id, { delayMs: 0 });
  expect(runAt.getTime()).toBeGreaterThanOrEqual(before);
  expect(runAt.getTime()).toBeLessThanOrEqual(Date.now());
  expect(await due()).toEqual([id]);
});

test("a waiting job can be called off", async () => {
  const id = await enqueueOne(ledger, { delayMs: hour });
  await ledger.delayed.cancel(id, "no longer wanted");
  expect(await ledger.findJob(id)).toMatchObject({ state: "cancelled", reason: "no longer wanted" });
  expect(await ledger.delayed.nextInMs()).toBeUndefined();
});

test("a job that does not wait is refused with its state, and left as it is", async () => {
  const workerId = await world.worker();
  const ready = await enqueueOne(ledger);
  const running = await enqueueOne(ledger);
  await ledger.claim({ workerId, ids: [running] });
  const finished = await enqueueOne(ledger);
  await ledger.cancel(finished, "TEST");
  const cases = [
    { id: ready, state: "ready" },
    { id: running, state: "running" },
    { id: finished, state: "cancelled" },
    { id: "01890000-0000-7000-8000-000000000000", state: "missing" },
  ];
  for (const { id, state } of cases) {
    const refused = { code: "JOB_NOT_WAITING", details: { jobId: id, state } };
    await expect(ledger.delayed.runNow(id)).rejects.toMatchObject(refused);
    await expect(ledger.delayed.reschedule(id, { delayMs: 5 })).rejects.toMatchObject(refused);
    await expect(ledger.delayed.cancel(id, "x")).rejects.toMatchObject(refused);
    expect((await ledger.findJob(id))?.state ?? "missing").toBe(state);
  }
});

test("a job released and rescheduled at the same moment is either released or moved, never both", async () => {
  for (let round = 0; round < 20; round += 1) {
    const id = await enqueueOne(ledger, { delayMs: hour });
    await ledger.delayed.runNow(id);
    const [released, moved] = await Promise.all([
      due(),
      ledger.delayed.reschedule(id, { delayMs: hour }).then(
        () => true,
        () => false,
      ),
    ]);
    expect(released.includes(id)).toBe(!moved);
    await world.clear();
  }
});

test("it is known how long until the next one is due", async () => {
  expect(await ledger.delayed.nextInMs()).toBeUndefined();
  await enqueueOne(ledger, { delayMs: 2 * hour });
  await enqueueOne(ledger, { delayMs: hour });
  const nextInMs = await ledger.delayed.nextInMs();
  expect(nextInMs).toBeGreaterThan(hour - 60_000);
  expect(nextInMs).toBeLessThanOrEqual(hour);
});
