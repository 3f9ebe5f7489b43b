import type { Ledger } from "@warren/ledger";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { aJob, enqueueOne, type LedgerWorld, openLedgerWorld } from "./support/ledger-world.ts";

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

/** Moves all times of jobs into the past, as if so much time had gone by. */
const letPass = (time: string): Promise<unknown> =>
  ledger.query(
    `update ${ledger.table("jobs")} set run_at = run_at - $1::interval, send_after = send_after - $1::interval,
       sent_at = sent_at - $1::interval`,
    [time],
  );

test("a delayed job is due once its time has come by the database's clock, not before", async () => {
  const [soon, late] = [await enqueueOne(ledger, { delayMs: 60_000 }), await enqueueOne(ledger, { delayMs: 120_000 })];
  expect(await ledger.takeDue({ limit: 10 })).toEqual([]);
  await letPass("61 seconds");
  expect(ids(await ledger.takeDue({ limit: 10 }))).toEqual([soon]);
  expect(await world.states()).toEqual({ [soon]: "ready", [late]: "scheduled" });
});

test("several dispatchers that take due jobs at once share them: each job is taken once", async () => {
  await ledger.enqueue(Array.from({ length: 300 }, () => aJob({ delayMs: 1_000 })));
  await letPass("2 seconds");
  const others = await Promise.all([world.openAnother(), world.openAnother(), world.openAnother()]);
  const taken: string[] = [];
  await Promise.all(
    others.map(async (other) => {
      for (;;) {
        const jobs = await other.takeDue({ limit: 20 });
        if (jobs.length === 0) return;
        taken.push(...ids(jobs));
      }
    }),
  );
  expect(taken.length).toBe(300);
  expect(new Set(taken).size).toBe(300);
});

test("what a dispatcher took and did not send is taken again 10 s later", async () => {
  const id = await enqueueOne(ledger);
  expect(ids(await ledger.takeUnsent({ limit: 10 }))).toEqual([id]);
  expect(await ledger.takeUnsent({ limit: 10 })).toEqual([]);
  await letPass("11 seconds");
  expect(ids(await ledger.takeUnsent({ limit: 10 }))).toEqual([id]);
});

describe("a job that was sent", () => {
  test("is not sent again, until somebody says that its message must be lost", async () => {
    const id = await enqueueOne(ledger);
    const [taken] = await ledger.takeUnsent({ limit: 10 });
    expect(await ledger.confirmSent([taken!])).toEqual({ waiting: 1 });
    await letPass("1 hour");
    expect(await ledger.takeUnsent({ limit: 10 })).toEqual([]);
    expect(await ledger.takeLost({ queue: "default", sentForMs: 7_200_000, limit: 10 })).toEqual([]);
    expect(await ledger.takeLost({ queue: "other", sentForMs: 60_000, limit: 10 })).toEqual([]);
    expect(ids(await ledger.takeLost({ queue: "default", sentForMs: 60_000, limit: 10 }))).toEqual([id]);
    expect(await ledger.takeLost({ queue: "default", sentForMs: 60_000, limit: 10 })).toEqual([]);
  });

  test("is marked by its own attempt, whichever attempts the others of the call are at", async () => {
    const workerId = await world.worker();
    const fresh = await enqueueOne(ledger);
    const returned = await enqueueOne(ledger);
    await ledger.giveBack(workerId, await ledger.claim({ workerId, ids: [returned] }));
    const taken = await ledger.takeUnsent({ limit: 10 });
    expect(new Map(taken.map(({ id, attempt }) => [id, attempt]))).toEqual(
      new Map([
        [fresh, 0],
        [returned, 1],
      ]),
    );
    expect(await ledger.confirmSent(taken.map(({ id }) => ({ id, attempt: 7 })))).toEqual({ waiting: 0 });
    expect(await ledger.confirmSent(taken)).toEqual({ waiting: 2 });
    expect(await ledger.confirmSent(taken)).toEqual({ waiting: 0 });
  });

  test("and came back meanwhile is not marked by the message that it used up", async () => {
    const workerId = await world.worker();
    const id = await enqueueOne(ledger);
    const [taken] = await ledger.takeUnsent({ limit: 10 });
    const claimed = await ledger.claim({ workerId, ids: [id] });
    await ledger.giveBack(workerId, claimed);
    // The publisher confirms lazily, and so late.
    expect(await ledger.confirmSent([taken!])).toEqual({ waiting: 0 });
    expect(ids(await ledger.takeUnsent({ limit: 10 }))).toEqual([id]);
  });

  test("and held by a claim is not marked by the message that it used up either", async () => {
    const workerId = await world.worker();
    const id = await enqueueOne(ledger, { breakers: ["a:b"] });
    const [taken] = await ledger.takeUnsent({ limit: 10 });
    await ledger.reportBreaker({ name: "a:b", state: "open", retryAfterMs: 0 });
    expect(await ledger.claim({ workerId, ids: [id] })).toEqual([]);
    await ledger.probeBreaker("a:b");
    expect(await ledger.confirmSent([taken!])).toEqual({ waiting: 0 });
  });
});

test("the age of the oldest ready job counts from when it was due, queue by queue, and skips what is held or running", async () => {
  const workerId = await world.worker();
  const [first] = await ledger.enqueue([aJob({ queue: "a" }), aJob({ queue: "b" }), aJob({ queue: "c" })]);
  await letPass("30 seconds");
  await ledger.enqueue([aJob({ queue: "a" }), aJob({ queue: "d", delayMs: 1_000 })]);
  await ledger.claim({ workerId, ids: [first!.id] });
  const ages = await ledger.oldestReady();
  expect(ages.map(({ queue, ageMs }) => [queue, Math.floor(ageMs / 30_000)])).toEqual([
    ["a", 0],
    ["b", 1],
    ["c", 1],
  ]);
  expect(await ledger.readyQueues()).toEqual(["a", "b", "c"]);
  expect(await ledger.queues()).toEqual(["a", "b", "c", "default"]);
});

describe("dead letters", () => {
  const letter = { messageId: "m1", queue: "warren.jobs.default", reason: "delivery_limit", jobIds: [] };
  const body = Buffer.from([0, 255, 10]);

  test("one death of one message is recorded once, however often it is redelivered", async () => {
    const death = [{ queue: "warren.jobs.default", count: 1 }];
    const first = await ledger.recordDeadLetter({ ...letter, body, death, headers: { "x-delivery-count": 1 } });
    const again = await ledger.recordDeadLetter({ ...letter, body, death, headers: { "x-delivery-count": 2 } });
    expect(first).toMatchObject({ recorded: true });
    expect(again).toEqual({ id: first.id, recorded: false, resent: 0 });
    const next = await ledger.recordDeadLetter({ ...letter, body, death: [{ ...death[0], count: 2 }] });
    expect(next.recorded).toBe(true);
  });

  test("any message is kept exactly, ours or not", async () => {
    await ledger.recordDeadLetter({
      messageId: "\u0000\ud800",
      queue: "q",
      reason: "rejected",
      jobIds: [],
      body,
      headers: { bad: "\u0000", big: 1n, bytes: Buffer.from("x") },
    });
    const { rows } = await ledger.query(`select message_id, body from ${ledger.table("dead_letters")}`, []);
    expect(rows).toEqual([{ message_id: "\u{fffd}\u{fffd}", body }]);
  });

  test("its jobs that were never claimed are sent again, and can be given up after too many deaths", async () => {
    const workerId = await world.worker();
    const [waiting, running] = [await enqueueOne(ledger), await enqueueOne(ledger)];
    await ledger.claim({ workerId, ids: [running] });
    await ledger.confirmSent([{ id: waiting, attempt: 0 }]);
    const jobIds = [waiting, running];
    expect(await ledger.recordDeadLetter({ ...letter, body, jobIds })).toMatchObject({ resent: 1 });
    expect(ids(await ledger.takeUnsent({ limit: 10 }))).toEqual([waiting]);
    expect(await ledger.deadLettersOf(jobIds)).toEqual(jobIds.toSorted().map((id) => ({ id, count: 1 })));
    const error = { code: "JOB_UNDELIVERABLE", message: "x" };
    expect(await ledger.condemn(jobIds, { reason: "JOB_UNDELIVERABLE", error })).toEqual([waiting]);
    expect(await ledger.findJob(waiting)).toMatchObject({ state: "dead", reason: "JOB_UNDELIVERABLE" });
  });
});

describe("breakers", () => {
  const name = "smtp:send";
  const error = { code: "PROVIDER_BREAKER_OPEN", message: "open" };

  async function hold(count: number): Promise<string[]> {
    const workerId = await world.worker();
    const held = (await ledger.enqueue(Array.from({ length: count }, () => aJob({ breakers: [name] })))).map(
      ({ id }) => id,
    );
    await ledger.reportBreaker({ name, state: "open", retryAfterMs: 0 });
    expect(await ledger.claim({ workerId, ids: held })).toEqual([]);
    return held;
  }

  test("an open one holds its jobs at the claim: no attempt counts, no handler runs, the rest goes on", async () => {
    const [id] = await hold(1);
    const other = await enqueueOne(ledger);
    const workerId = await world.worker();
    expect(ids(await ledger.claim({ workerId, ids: [id!, other] }))).toEqual([other]);
    const job = await ledger.findJob(id!);
    expect(job).toMatchObject({ state: "ready", heldBy: name });
    expect(job!.attempt - job!.excused).toBe(0);
    expect(await ledger.takeUnsent({ limit: 10 })).toEqual([]);
  });

  test("a probe that succeeds closes it, whoever ran it; then the held jobs go in a growing stream", async () => {
    const held = await hold(20);
    const { released } = await ledger.probeBreaker(name);
    const workerId = await world.worker();
    const [probe] = await ledger.claim({ workerId, ids: ids(released) });
    expect(probe?.probe).toBe(true);
    expect(await ledger.releaseHeld({ name, limit: 100 })).toEqual([]);
    await ledger.settle({ ...probe!, workerId, outcome: { kind: "succeeded", result: 1 } });
    const stream: number[] = [];
    for (let round = 0; round < 6; round += 1) stream.push((await ledger.releaseHeld({ name, limit: 100 })).length);
    expect(stream).toEqual([1, 2, 4, 8, 4, 0]);
    expect(held.length).toBe(20);
  });

  test("a probe that finds the provider still down opens it again and stays held itself", async () => {
    await hold(2);
    const { released } = await ledger.probeBreaker(name);
    const workerId = await world.worker();
    const [probe] = await ledger.claim({ workerId, ids: ids(released) });
    await ledger.settle({ ...probe!, workerId, outcome: { kind: "held", breaker: name, error } });
    const [breaker] = await ledger.breakers();
    expect(breaker).toMatchObject({ name, state: { kind: "open" }, holding: true, probeDue: false });
    expect(await ledger.findJob(probe!.id)).toMatchObject({ heldBy: name });
  });

  test("of many dispatchers that probe at once, one lets one job go", async () => {
    await hold(30);
    const others = [ledger, await world.openAnother({ poolSize: 4 }), await world.openAnother({ poolSize: 4 })];
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => others[index % others.length]!.probeBreaker(name)),
    );
    expect(answers.flatMap(({ released }) => released).length).toBe(1);
  });

  test("a lost probe is followed by another one after its lease", async () => {
    await hold(2);
    expect((await ledger.probeBreaker(name)).released.length).toBe(1);
    expect((await ledger.probeBreaker(name)).released.length).toBe(0);
    await ledger.query(`update ${ledger.table("breakers")} set retry_at = retry_at - interval '31 seconds'`, []);
    expect((await ledger.probeBreaker(name)).released.length).toBe(1);
  });

  test("a job held by a breaker that nobody ever reported is not forgotten", async () => {
    const workerId = await world.worker();
    const id = await enqueueOne(ledger);
    const [job] = await ledger.claim({ workerId, ids: [id] });
    await ledger.settle({ ...job!, workerId, outcome: { kind: "held", breaker: "new:op", error } });
    expect(await ledger.breakers()).toMatchObject([{ name: "new:op", state: { kind: "open" }, holding: true }]);
    await ledger.query(`delete from ${ledger.table("breakers")}`, []);
    expect(await ledger.breakers()).toMatchObject([{ name: "new:op", state: { kind: "closed" }, holding: true }]);
    expect(ids(await ledger.releaseHeld({ name: "new:op", limit: 10 }))).toEqual([id]);
  });
});

test("the cache keeps a value until its time is over by the database's clock", async () => {
  const cache = ledger.cacheStore();
  await cache.set("k", { rate: 1.5 }, 60_000);
  expect(await cache.get("k")).toEqual({ rate: 1.5 });
  await cache.set("k", [2], 0);
  expect(await cache.get("k")).toBeUndefined();
  await expect(cache.set("k", undefined, 1_000)).rejects.toMatchObject({ code: "LEDGER_DATA_INVALID" });
  expect((await ledger.maintainPartitions({ retentionDays: 30 })).cacheSwept).toBe(1);
});

test("cancelling tells what it found", async () => {
  const workerId = await world.worker();
  const [scheduled, running] = [await enqueueOne(ledger, { delayMs: 9_000 }), await enqueueOne(ledger)];
  await ledger.claim({ workerId, ids: [running] });
  expect(await ledger.cancel(scheduled, "not needed")).toEqual({ kind: "cancelled" });
  expect(await ledger.cancel(scheduled, "again")).toEqual({ kind: "finished", state: "cancelled" });
  expect(await ledger.cancel(running, "no")).toEqual({ kind: "running", workerId });
  expect(await ledger.cancel("01900000-0000-7000-8000-000000000000", "no")).toEqual({ kind: "missing" });
  expect(await ledger.findJob(scheduled)).toMatchObject({ state: "cancelled", reason: "not needed" });
});
