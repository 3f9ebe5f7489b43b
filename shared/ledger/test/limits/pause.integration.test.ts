import { createWebhookStore, newId } from "@warren/ledger";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { govern } from "../support/governed.ts";
import { aJob, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
beforeAll(async () => {
  world = await openLedgerWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

test("a pause of a direct queue stops its jobs at the claim, and a resume restarts them without loss", async () => {
  const { ledger, queue, enqueue, claim } = await govern(world, {});
  const sent = await enqueue(3);
  await ledger.limits.pause(queue, {});
  expect(await claim(sent)).toEqual([]);
  const later = await enqueue(1);
  expect(await ledger.limits.get(queue)).toMatchObject({ paused: true, policy: {} });
  await ledger.limits.resume(queue, {});
  expect(await ledger.limits.get(queue)).toBeUndefined();
  const freed = (await ledger.limits.free({ queue, limit: 100 })).map(({ id }) => id);
  expect(freed.sort()).toEqual([...sent, ...later].sort());
  expect(await claim(freed)).toHaveLength(4);
});

test("a job that becomes due during a pause waits, and does not run", async () => {
  const { ledger, queue, enqueue, claim } = await govern(world, {});
  const [id] = await enqueue(1, { delayMs: 1 });
  await ledger.limits.pause(queue, {});
  await expect
    .poll(() => ledger.takeDue({ limit: 10 }).then(() => ledger.findJob(id!)))
    .toMatchObject({ state: "ready" });
  expect(await claim([id!])).toEqual([]);
  expect((await ledger.limits.release({ queue, limit: 10 })).jobs).toEqual([]);
});

test("a pause puts released jobs that have not started back, in their old order", async () => {
  const { ledger, queue, enqueue, releaseIds, claim } = await govern(world, { concurrency: 4 });
  const ids = await enqueue(6);
  expect(await releaseIds()).toEqual(ids.slice(0, 4));
  await claim([ids[0]!]);
  await ledger.limits.pause(queue, {});
  expect(await claim(ids)).toEqual([]);
  expect(await releaseIds()).toEqual([]);
  await ledger.limits.resume(queue, {});
  expect(await releaseIds()).toEqual(ids.slice(1, 4));
});

describe("a paused job name", () => {
  test("is stepped over, also where thousands stand before the others, and comes back in its place", async () => {
    const { ledger, queue, enqueue, drain, gates, claim } = await govern(world, { concurrency: 1_000 });
    await enqueue(1_200, { name: "bad" });
    const good = await enqueue(3, { name: "good" });
    await ledger.limits.pause(queue, { job: "bad" });
    const order: string[] = [];
    await expect.poll(async () => order.push(...(await drain())) && order.length).toBe(3);
    expect(order).toEqual(good);
    expect(new Set(Object.values(await gates()))).toEqual(new Set([4]));
    await ledger.limits.resume(queue, { job: "bad" });
    expect(await drain()).toHaveLength(1_200);
    expect(await claim(good)).toEqual([]);
  });

  test("does not block the other jobs of a key, unless the key's order is strict", async () => {
    const loose = await govern(world, { keyConcurrency: 1 });
    const strict = await govern(world, { order: "strict" });
    for (const { ledger, queue, enqueue, drain } of [loose, strict]) {
      await ledger.limits.pause(queue, { job: "bad" });
      const [bad] = await enqueue(1, { name: "bad", limitKey: "k" });
      const [good] = await enqueue(1, { name: "good", limitKey: "k" });
      const [other] = await enqueue(1, { name: "good", limitKey: "l" });
      await drain();
      const expected = queue === loose.queue ? [other, good] : [other];
      expect((await drain()).length).toBe(0);
      const left = await world.states();
      for (const id of expected) expect(left[id!]).toBe("succeeded");
      await ledger.limits.resume(queue, { job: "bad" });
      await drain();
      expect((await world.states())[bad!]).toBe("succeeded");
      expect((await world.states())[good!]).toBe("succeeded");
    }
  });

  // found by the property test: without a key there is no order that the paused one could hold up
  test("in a strict order holds up no job without a key", async () => {
    const { ledger, queue, enqueue, drain } = await govern(world, { order: "strict" });
    await ledger.limits.pause(queue, { job: "bad" });
    const bad = await enqueue(2, { name: "bad" });
    await enqueue(1, { name: "bad", limitKey: "k" });
    const blocked = await enqueue(1, { name: "good", limitKey: "k" });
    const good = await enqueue(2, { name: "good" });
    const order = [...(await drain()), ...(await drain()), ...(await drain())];
    expect(order).toEqual(good);
    await ledger.limits.resume(queue, { job: "bad" });
    const rest = [...(await drain()), ...(await drain())];
    expect(rest).toHaveLength(4);
    expect(rest).toEqual(expect.arrayContaining([...bad, ...blocked]));
  });

  // both found by the property test: the search ended at keys that wait, and never came to those that may go
  test("in a strict order holds up no other key, however few may go at once", async () => {
    const { ledger, queue, enqueue, drain } = await govern(world, { order: "strict", concurrency: 1 });
    await ledger.limits.pause(queue, { job: "bad" });
    for (const limitKey of ["a", "b", "c"]) {
      await enqueue(1, { name: "bad", limitKey, priority: 5 });
      await enqueue(1, { name: "good", limitKey });
    }
    const free = await enqueue(1, { name: "good" });
    const other = await enqueue(1, { name: "good", limitKey: "d" });
    expect([...(await drain()), ...(await drain())].sort()).toEqual([...free, ...other].sort());
  });

  test("in a direct queue lets the other names through", async () => {
    const { ledger, queue, enqueue, drain, claim, succeed } = await govern(world, {});
    await ledger.limits.pause(queue, { job: "bad" });
    const bad = await enqueue(2, { name: "bad" });
    const good = await enqueue(2, { name: "good" });
    await drain();
    expect(await drain()).toEqual([]);
    await ledger.limits.resume(queue, { job: "bad" });
    const freed = await ledger.limits.free({ queue, limit: 10 });
    expect(freed.map(({ id }) => id).sort()).toEqual([...bad].sort());
    await succeed(await claim(bad));
    for (const id of [...good, ...bad]) expect((await world.states())[id]).toBe("succeeded");
  });
});

test("a paused key stays, the others go on, in a line and in turns", async () => {
  for (const policy of [{ concurrency: 100 }, { fairness: true }] as const) {
    const { ledger, queue, enqueue, drain } = await govern(world, policy);
    await ledger.limits.pause(queue, { key: "k" });
    const paused = await enqueue(3, { limitKey: "k" });
    const going = [...(await enqueue(3, { limitKey: "l" })), ...(await enqueue(1))];
    const order = [...(await drain()), ...(await drain())];
    expect(order.sort()).toEqual([...going].sort());
    expect((await ledger.limits.get(queue))?.keys).toEqual([{ key: "k", paused: true }]);
    await ledger.limits.resume(queue, { key: "k" });
    expect([...(await drain()), ...(await drain())].sort()).toEqual([...paused].sort());
  }
});

test("a claim that meets a pause parks the job, and loses no attempt", async () => {
  const { ledger, queue, enqueue, releaseIds, claim } = await govern(world, { concurrency: 5 });
  const [id] = await enqueue(1, { limitKey: "k" });
  await releaseIds();
  // as a dispatcher would that released it just before the pause was committed
  await ledger.query(`insert into ${ledger.table("queue_key_policies")} (queue, key, paused) values ($1, 'k', true)`, [
    queue,
  ]);
  await ledger.query(`update ${ledger.table("queue_policies")} set keyed = true where queue = $1`, [queue]);
  expect(await claim([id!])).toEqual([]);
  expect(await ledger.findJob(id!)).toMatchObject({ attempt: 1, excused: 1, state: "ready" });
});

test("only a thousand keys of a queue may be paused, and the error says what to do", async () => {
  const { ledger, queue } = await govern(world, {});
  await ledger.limits.pause(queue, { key: "first" });
  await ledger.query(
    `insert into ${ledger.table("queue_key_policies")} (queue, key, paused) select $1, 'k' || n, true from generate_series(1, 999) n`,
    [queue],
  );
  await expect(ledger.limits.pause(queue, { key: "one more" })).rejects.toMatchObject({
    code: "LEDGER_SETTING_INVALID",
    message: expect.stringContaining("pause the queue or resume some") as string,
  });
  await ledger.limits.pause(queue, { key: "first" });
});

describe("what ends an attempt", () => {
  test("a lost worker's jobs wait for another release, and count no more", async () => {
    const { ledger, queue, enqueue, releaseIds, claim, worker } = await govern(world, { concurrency: 2 });
    const ids = await enqueue(4);
    await releaseIds();
    await claim(ids.slice(0, 2));
    const other = newId();
    await ledger.registerWorker({ id: other, host: "t", pid: 1, version: "0", queues: [queue], concurrency: 10 });
    const beat = (await ledger.beats()).find(({ id }) => id === worker)!;
    const outcome = await ledger.expireWorker(beat);
    expect(outcome).toMatchObject({ expired: true, rescued: [], dead: [] });
    expect(outcome.expired && [...outcome.waiting].sort()).toEqual(ids.slice(0, 2));
    expect(await releaseIds()).toEqual(ids.slice(0, 2));
  });

  test("a breaker holds a released job, which then waits for another release", async () => {
    const { ledger, enqueue, releaseIds, claim } = await govern(world, { concurrency: 1 });
    const [held] = await enqueue(1, { breakers: ["mail:send"] });
    const [free] = await enqueue(1);
    await ledger.reportBreaker({ name: "mail:send", state: "open", retryAfterMs: 60_000 });
    expect(await releaseIds()).toEqual([held]);
    expect(await claim([held!])).toEqual([]);
    expect(await releaseIds()).toEqual([free]);
    await ledger.reportBreaker({ name: "mail:send", state: "closed" });
    expect(await ledger.releaseHeld({ name: "mail:send", limit: 10 })).toEqual([]);
    await claim([free!]);
    expect(await releaseIds()).toEqual([]);
    await ledger.cancel(free!, "TEST");
    expect(await ledger.findJob(held!)).toMatchObject({ state: "ready", heldBy: undefined });
  });
});

test("jobs of webhooks and of a caller's transaction wait as well, and nobody is told of them", async () => {
  const { ledger, queue } = await govern(world, { concurrency: 1 });
  const results = await ledger.transaction((run) =>
    ledger.enqueueIn(run, [aJob({ queue }), aJob({ queue, key: newId() })]),
  );
  expect(results.map(({ waits }) => waits)).toEqual([true, true]);

  const told: string[] = [];
  const store = createWebhookStore({ ledger, newId, onJobs: (jobs) => told.push(...jobs.map((job) => job.queue)) });
  await store.accept({
    id: newId(),
    source: "github",
    provider: "github",
    method: "POST",
    url: "/webhooks/github",
    rawHeaders: [],
    peerAddress: undefined,
    clientAddress: undefined,
    correlationId: "test",
    body: Buffer.from("x"),
    dedupeKey: newId(),
    eventId: undefined,
    eventType: undefined,
    jobs: [aJob({ queue }), aJob({ queue: "direct" })],
  });
  expect(told).toEqual(["direct"]);
  const { rows } = await ledger.query(`select gate from ${ledger.table("jobs")} where queue = $1`, [queue]);
  expect(rows.map((row) => row["gate"])).toEqual([1, 1, 1]);
});
