import { type Ledger, migrate, newId, openLedger } from "@warren/ledger";
import { type Database, startPrivateDatabase, stopWalWriter, waitFor } from "@warren/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { settle } from "../support/governed.ts";
import { createTestLog, enqueueOne } from "../support/ledger-world.ts";

let postgres: Database;
let ledger: Ledger;
beforeAll(async () => {
  // Postgres itself writes early claims within 600 ms; here only a commit that waits for the disk does
  postgres = await startPrivateDatabase({ autovacuum: "off" });
  await stopWalWriter(postgres);
  const { log } = createTestLog();
  await migrate({ connectionString: postgres.url, log });
  ledger = await openLedger({ connectionString: postgres.url, log });
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

/** Idle connections of before cost a call each until the process has heard of their end. */
const answers = (): Promise<true> => waitFor(() => ledger.ping().then(() => true as const));

async function crash(): Promise<void> {
  await postgres.kill();
  await postgres.start();
  await stopWalWriter(postgres);
  await answers();
}

async function worker(): Promise<string> {
  const id = newId();
  await ledger.registerWorker({ id, host: "test", pid: 1, version: "0", queues: ["default"], concurrency: 10 });
  return id;
}

const now = async (id: string) => {
  const job = await ledger.findJob(id);
  return [job?.state, job?.attempt, job?.workerId];
};

test("a crash may forget an early claim until it is confirmed", async () => {
  const workerId = await worker();
  const [confirmed, forgotten] = [await enqueueOne(ledger), await enqueueOne(ledger)];
  const [first] = await ledger.claim({ workerId, ids: [confirmed], early: true });
  expect(first).toMatchObject({ attempt: 1, durable: false });
  expect(await ledger.confirmClaims(workerId, [first!])).toEqual({ alive: true, kept: new Set([first]) });
  await ledger.claim({ workerId, ids: [forgotten], early: true });
  await crash();
  expect(await now(confirmed)).toEqual(["running", 1, workerId]);
  expect(await now(forgotten)).toEqual(["ready", 0, undefined]);
});

test("a forgotten claim is refused when it settles; confirmed, it is made again under its attempt, unless somebody had the job since", async () => {
  const [workerId, other] = [await worker(), await worker()];
  const [mine, taken, changed] = [
    await enqueueOne(ledger, { payload: { text: `"quoted", {braced} and \\ escaped`, none: null, number: 1.5e300 } }),
    await enqueueOne(ledger),
    await enqueueOne(ledger),
  ];
  const claims = await ledger.claim({ workerId, ids: [mine, taken, changed], early: true });
  expect(claims).toHaveLength(3);
  const ours = claims.find(({ id }) => id === mine);
  await crash();
  await ledger.claim({ workerId: other, ids: [taken] });
  await ledger.query(`update ${ledger.table("jobs")} set payload = '{"text":"replaced"}' where id = $1`, [changed]);

  const succeed = (id: string) =>
    ledger.settle({ id, attempt: 1, workerId, outcome: { kind: "succeeded", result: null } });
  expect(await succeed(mine)).toBe("fenced");
  expect(await ledger.confirmClaims(workerId, claims)).toEqual({ alive: true, kept: new Set([ours]) });
  await crash();
  expect(await now(mine)).toEqual(["running", 1, workerId]);
  expect([await succeed(mine), await succeed(taken), await succeed(changed)]).toEqual(["applied", "fenced", "fenced"]);
  expect(await now(taken)).toEqual(["running", 1, other]);
  expect(await now(changed)).toEqual(["ready", 0, undefined]);
});

test("a claim that did not ask to be early is on disk with its answer, also one that shares a statement with early ones", async () => {
  const workerId = await worker();
  const [alone, shared, early] = [await enqueueOne(ledger), await enqueueOne(ledger), await enqueueOne(ledger)];
  const [[first], [second]] = await Promise.all([
    ledger.claim({ workerId, ids: [shared] }),
    ledger.claim({ workerId, ids: [early], early: true }),
  ]);
  expect([first?.durable, second?.durable]).toEqual([true, true]);
  const [third] = await ledger.claim({ workerId, ids: [alone] });
  expect(third?.durable).toBe(true);
  await crash();
  for (const id of [alone, shared, early]) expect(await now(id)).toEqual(["running", 1, workerId]);
});

test("a claim that a rate counts is on disk with its answer though it may be early: no crash forgets a start", async () => {
  const { limits } = ledger;
  const queue = "rated";
  const workerId = newId();
  await ledger.registerWorker({ id: workerId, host: "test", pid: 1, version: "0", queues: [queue], concurrency: 10 });
  await limits.change(queue, { rate: { limit: 1, perMs: 3_600_000, burst: 1 } });
  await settle(ledger);
  const [first, second] = [await enqueueOne(ledger, { queue }), await enqueueOne(ledger, { queue })];
  const released = async () => (await limits.release({ queue, limit: 10 })).jobs.map(({ id }) => id);
  expect(await released()).toEqual([first]);
  expect(await ledger.claim({ workerId, ids: [first], early: true })).toMatchObject([{ id: first, durable: true }]);
  await crash();
  expect(await now(first)).toEqual(["running", 1, workerId]);
  expect(await released()).toEqual([]);
  expect(await now(second)).toEqual(["ready", 0, undefined]);
});

test("a lease that is over confirms no claim", async () => {
  const workerId = await worker();
  const claims = await ledger.claim({ workerId, ids: [await enqueueOne(ledger)], early: true });
  await ledger.retireWorker(workerId);
  expect(await ledger.confirmClaims(workerId, claims)).toEqual({ alive: false });
});
