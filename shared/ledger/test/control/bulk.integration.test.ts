import { type BulkOperation, type JobFilter, type Ledger } from "@warren/ledger";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { enqueueOne, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
let ledger: Ledger;
beforeAll(async () => {
  world = await openLedgerWorld();
  ({ ledger } = world);
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  await world.clear();
  await ledger.query(`truncate ${ledger.table("bulk_operations")}, ${ledger.table("bulk_targets")}`, []);
});

const who = { by: "anna", reason: "tidying up" };
const error = { code: "TEST", message: "for the test" };

async function dead(more: Parameters<typeof enqueueOne>[1] = {}, reason = "TEST"): Promise<string> {
  const id = await enqueueOne(ledger, more);
  await ledger.condemn([id], { reason, error });
  return id;
}

/** Runs an operation to its end, as dispatchers do. */
async function finish(id: string): Promise<BulkOperation> {
  while ((await ledger.control.bulk.step()) !== undefined);
  return (await ledger.control.bulk.find(id))!;
}

test("an operation touches the jobs that matched when it was made, and no other", async () => {
  const before = [await enqueueOne(ledger, { queue: "a" }), await enqueueOne(ledger, { queue: "a", delayMs: 60_000 })];
  const other = await enqueueOne(ledger, { queue: "b" });
  expect(await ledger.control.bulk.count("cancel", { queue: "a" })).toBe(2);
  const operation = await ledger.control.bulk.start({ action: "cancel", filter: { queue: "a" }, ...who });
  expect(operation).toMatchObject({
    matched: 2,
    state: "running",
    by: "anna",
    reason: "tidying up",
    filter: { queue: "a" },
  });
  const later = await enqueueOne(ledger, { queue: "a" });
  expect(await finish(operation.id)).toMatchObject({ state: "done", changed: 2, skipped: 0 });
  const states = await world.states();
  expect(before.map((id) => states[id])).toEqual(["cancelled", "cancelled"]);
  expect([states[other], states[later]]).toEqual(["ready", "ready"]);
  expect(await ledger.findJob(before[0]!)).toMatchObject({ reason: "tidying up", cancelledBy: "anna" });
});

test("a job that has left the states that were asked for is skipped, and says why", async () => {
  const moved = await enqueueOne(ledger);
  const done = await enqueueOne(ledger);
  const workerId = await world.worker();
  const operation = await ledger.control.bulk.start({ action: "cancel", filter: { states: ["ready"] }, ...who });
  await ledger.claim({ workerId, ids: [moved, done] });
  await ledger.settle({ id: done, attempt: 1, workerId, outcome: { kind: "succeeded", result: 1 } });
  expect(await finish(operation.id)).toMatchObject({ changed: 0, skipped: 2, skips: { state_changed: 2 } });
  expect(await world.states()).toEqual({ [moved]: "running", [done]: "succeeded" });
});

test("without states, running jobs are asked to stop, and the step names them", async () => {
  const id = await enqueueOne(ledger);
  const workerId = await world.worker();
  await ledger.claim({ workerId, ids: [id] });
  await ledger.control.bulk.start({ action: "cancel", filter: { name: "test.job" }, ...who });
  const step = await ledger.control.bulk.step();
  expect(step).toMatchObject({ jobs: 1, cancels: [{ id, kind: "requested", workerId }] });
  expect((await ledger.beat(workerId)).cancels).toMatchObject([{ id, by: "anna" }]);
});

test("dead jobs come back by reason and time, those whose unique key is taken stay, and are counted", async () => {
  const wanted = await dead({ queue: "a" }, "GONE");
  const otherReason = await dead({ queue: "a" }, "ELSE");
  const unique = { key: "k", until: "finished", onConflict: "ignore" } as const;
  const rival = await dead({ queue: "a", unique }, "GONE");
  const holder = await enqueueOne(ledger, { queue: "a", unique });
  const filter = { queue: "a", reason: "GONE", finishedFrom: new Date(Date.now() - 60_000) };
  const operation = await ledger.control.bulk.start({ action: "retry", filter, ...who });
  expect(await finish(operation.id)).toMatchObject({ matched: 2, changed: 1, skipped: 1, skips: { key_taken: 1 } });
  expect(await world.states()).toEqual({
    [wanted]: "ready",
    [otherReason]: "dead",
    [rival]: "dead",
    [holder]: "ready",
  });
});

test("a limit caps how many are taken, the oldest first", async () => {
  const ids = [await dead(), await dead(), await dead()];
  const operation = await ledger.control.bulk.start({
    action: "retry",
    filter: { queue: "default" },
    limit: 2,
    ...who,
  });
  await finish(operation.id);
  const states = await world.states();
  expect(ids.map((id) => states[id])).toEqual(["ready", "ready", "dead"]);
});

test("discard puts jobs aside and restore takes them back", async () => {
  const id = await dead();
  await finish((await ledger.control.bulk.start({ action: "discard", filter: { queue: "default" }, ...who })).id);
  expect(await ledger.control.bulk.count("retry", { queue: "default" })).toBe(0);
  expect(await ledger.control.retry([id], {})).toEqual([{ id, kind: "discarded" }]);
  await finish((await ledger.control.bulk.start({ action: "restore", filter: { queue: "default" }, ...who })).id);
  expect(await ledger.control.retry([id], {})).toEqual([{ id, kind: "retried" }]);
});

test("the rate spreads the work, and a paused or aborted operation takes no more", async () => {
  for (let made = 0; made < 5; made += 1) await enqueueOne(ledger);
  const operation = await ledger.control.bulk.start({
    action: "cancel",
    filter: { queue: "default" },
    rate: 2,
    ...who,
  });
  expect(await ledger.control.bulk.step()).toMatchObject({ jobs: 2 });
  // its next turn comes in a second
  expect(await ledger.control.bulk.step()).toBeUndefined();
  expect(await ledger.control.bulk.setState(operation.id, "paused", "bert")).toMatchObject({
    state: "paused",
    changed: 2,
  });
  await ledger.query(`update ${ledger.table("bulk_operations")} set next_batch_at = now() - interval '1 second'`, []);
  expect(await ledger.control.bulk.step()).toBeUndefined();
  await ledger.control.bulk.setState(operation.id, "running", "bert");
  expect(await ledger.control.bulk.step()).toMatchObject({ jobs: 2 });
  expect(await ledger.control.bulk.setState(operation.id, "aborted", "bert")).toMatchObject({
    state: "aborted",
    endedBy: "bert",
  });
  expect(await ledger.control.bulk.setState(operation.id, "running", "bert")).toMatchObject({ state: "aborted" });
  expect(Object.values(await world.states()).filter((state) => state === "ready")).toHaveLength(1);
  expect(await ledger.control.bulk.setState("01900000-0000-7000-8000-000000000000", "paused", "x")).toBeUndefined();
});

test("a runner that dies in the middle of a batch has done nothing of it; the next one does all", async () => {
  for (let made = 0; made < 3; made += 1) await enqueueOne(ledger);
  const { id } = await ledger.control.bulk.start({ action: "cancel", filter: { queue: "default" }, ...who });
  const doomed = await world.openAnother({ poolSize: 1, retries: 0, applicationName: "doomed" });
  // the batch waits for a job that somebody holds, and its connection is killed there
  await ledger.transaction(async (run) => {
    await run(`select 1 from ${ledger.table("jobs")} for update`, []);
    const stepping = doomed.control.bulk.step();
    const failing = stepping.catch((failure: unknown) => failure);
    for (let killed = 0; killed === 0; ) {
      // outside this transaction, which would see the same activity for ever
      const { rows } = await ledger.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'doomed' and wait_event_type = 'Lock'`,
        [],
      );
      killed = rows.length;
    }
    expect(await failing).toMatchObject({ code: "LEDGER_UNAVAILABLE" });
  });
  expect(await ledger.control.bulk.find(id)).toMatchObject({ state: "running", changed: 0 });
  expect(await finish(id)).toMatchObject({ state: "done", changed: 3 });
});

test("two runners share the work of an operation without doing any of it twice", async () => {
  for (let made = 0; made < 20; made += 1) await enqueueOne(ledger);
  const operation = await ledger.control.bulk.start({ action: "cancel", filter: { queue: "default" }, ...who });
  const steps = await Promise.all(Array.from({ length: 6 }, () => ledger.control.bulk.step()));
  expect(steps.reduce((sum, step) => sum + (step?.jobs ?? 0), 0)).toBe(20);
  expect(await finish(operation.id)).toMatchObject({ state: "done", changed: 20 });
});

test.for<{ what: string; filter: JobFilter; finds: number }>([
  { what: "name", filter: { name: "one" }, finds: 1 },
  { what: "key", filter: { key: "tenant" }, finds: 1 },
  { what: "schedule", filter: { schedule: "nightly" }, finds: 1 },
  { what: "attributes", filter: { attributes: { city: "Riga" } }, finds: 1 },
  { what: "states", filter: { states: ["scheduled"] }, finds: 1 },
  { what: "the time before", filter: { createdBefore: new Date(0) }, finds: 0 },
  { what: "the time after", filter: { createdFrom: new Date(0) }, finds: 5 },
  { what: "two at once", filter: { name: "one", key: "tenant" }, finds: 0 },
  { what: "a state that cannot be cancelled", filter: { states: ["dead"] }, finds: 0 },
])("jobs are found by $what", async ({ filter, finds }) => {
  await enqueueOne(ledger, { name: "one" });
  await enqueueOne(ledger, { limitKey: "tenant" });
  await enqueueOne(ledger, { schedule: "nightly" });
  await enqueueOne(ledger, { attributes: { city: "Riga", zip: 1 } });
  await enqueueOne(ledger, { delayMs: 60_000 });
  expect(await ledger.control.bulk.count("cancel", filter)).toBe(finds);
});
