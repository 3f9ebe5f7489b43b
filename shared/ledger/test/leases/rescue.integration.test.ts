import type { Ledger } from "@warren/ledger";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { aJob, enqueueOne, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
let ledger: Ledger;
beforeAll(async () => {
  world = await openLedgerWorld();
  ledger = world.ledger;
});
beforeEach(() => world.clear());
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const ids = (jobs: readonly { readonly id: string }[]): string[] => jobs.map(({ id }) => id).sort();

test("an expired worker's jobs are ready again, with a stall and without a lost attempt; other workers keep theirs", async () => {
  const [lost, living] = [await world.worker(), await world.worker()];
  const [a, b, c] = (await ledger.enqueue([aJob(), aJob(), aJob()])).map(({ id }) => id);
  await ledger.claim({ workerId: lost, ids: [a!, b!] });
  await ledger.claim({ workerId: living, ids: [c!] });
  const answer = await ledger.expireWorker({ id: lost, beatSeq: "0" });
  expect(answer).toMatchObject({ expired: true, dead: [] });
  expect(answer.expired && ids(answer.rescued)).toEqual([a, b]);
  expect(await ledger.findJob(a!)).toMatchObject({ state: "ready", stalls: 1, attempt: 1, excused: 1 });
  expect((await ledger.findJob(a!))?.errors).toMatchObject([{ code: "JOB_STALLED", attempt: 1 }]);
  expect(await ledger.findJob(c!)).toMatchObject({ state: "running", workerId: living });
  expect(ids(await ledger.beats())).toEqual([living]);
});

test("a job that stalls once more than forgiven is dead, with its own reason", async () => {
  const id = await enqueueOne(ledger, { maxStalls: 2 });
  for (const stalls of [1, 2, 3]) {
    const workerId = await world.worker();
    await ledger.claim({ workerId, ids: [id] });
    await ledger.expireWorker({ id: workerId, beatSeq: "0" });
    expect(await ledger.findJob(id)).toMatchObject({ state: stalls < 3 ? "ready" : "dead", stalls });
  }
  expect(await ledger.findJob(id)).toMatchObject({ reason: "JOB_STALLED", attempt: 3 });
});

test("a worker that beat after it was observed is not expired", async () => {
  const workerId = await world.worker();
  const id = await enqueueOne(ledger);
  await ledger.claim({ workerId, ids: [id] });
  const [observed] = await ledger.beats();
  expect(await ledger.beat(workerId)).toMatchObject({ alive: true });
  expect(await ledger.expireWorker(observed!)).toEqual({ expired: false });
  expect((await ledger.findJob(id))?.state).toBe("running");
});

test("of several dispatchers that expire the same worker, one does", async () => {
  const workerId = await world.worker();
  const [id] = [await enqueueOne(ledger, { maxStalls: 5 })];
  await ledger.claim({ workerId, ids: [id] });
  const others = [ledger, await world.openAnother(), await world.openAnother()];
  const answers = await Promise.all(others.map((other) => other.expireWorker({ id: workerId, beatSeq: "0" })));
  expect(answers.filter(({ expired }) => expired).length).toBe(1);
  expect((await ledger.findJob(id))?.stalls).toBe(1);
});

test("an expired worker learns it from its next beat, and stays expired", async () => {
  const workerId = await world.worker();
  await ledger.expireWorker({ id: workerId, beatSeq: "0" });
  expect(await ledger.beat(workerId)).toMatchObject({ alive: false });
  expect(await ledger.beats()).toEqual([]);
});

test("a claim whose answer was lost is found among the running jobs and handed back", async () => {
  const workerId = await world.worker();
  const id = await enqueueOne(ledger);
  // The answer never reaches the worker: it knows nothing of the job, which runs under its living heartbeat.
  await ledger.claim({ workerId, ids: [id] });
  const running = await ledger.runningOf(workerId);
  expect(running).toMatchObject([{ id, attempt: 1 }]);
  expect(await ledger.giveBack(workerId, running)).toEqual({ handedBack: 1 });
  expect(await ledger.findJob(id)).toMatchObject({ state: "ready", attempt: 1, excused: 1, stalls: 0 });
  expect(ids(await ledger.takeUnsent({ limit: 10 }))).toEqual([id]);
});

test("handing back leaves alone what is no longer the worker's", async () => {
  const [first, second] = [await world.worker(), await world.worker()];
  const id = await enqueueOne(ledger);
  const held = await ledger.claim({ workerId: first, ids: [id] });
  await ledger.expireWorker({ id: first, beatSeq: "0" });
  await ledger.claim({ workerId: second, ids: [id] });
  expect(await ledger.giveBack(first, held)).toEqual({ handedBack: 0 });
  expect(await ledger.findJob(id)).toMatchObject({ state: "running", workerId: second });
});

test("a retired worker's jobs go back without a stall, and it may not claim any more", async () => {
  const workerId = await world.worker();
  const id = await enqueueOne(ledger);
  await ledger.claim({ workerId, ids: [id] });
  expect(await ledger.retireWorker(workerId)).toEqual({ handedBack: 1 });
  expect(await ledger.findJob(id)).toMatchObject({ state: "ready", stalls: 0, excused: 1 });
  await expect(ledger.claim({ workerId, ids: [id] })).rejects.toMatchObject({ code: "LEDGER_WORKER_ENDED" });
  expect(await ledger.retireWorker(workerId)).toEqual({ handedBack: 0 });
});

test("a beat passes while claims of the same worker are under way", async () => {
  const workerId = await world.worker();
  const id = await enqueueOne(ledger);
  await ledger.transaction(async (run) => {
    await run(`select 1 from ${ledger.table("workers")} where id = $1 for key share`, [workerId]);
    expect(await ledger.beat(workerId)).toMatchObject({ alive: true });
  });
  expect((await ledger.claim({ workerId, ids: [id] })).length).toBe(1);
});
