import { propertyRuns, propertyTimeout } from "@warren/testing/properties";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { govern, settle } from "../support/governed.ts";
import { aJob, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
beforeAll(async () => {
  world = await openLedgerWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

test("jobs of a governed queue wait in the ledger: not announced, not sent, not claimed", async () => {
  const { ledger, queue, claim, releaseIds } = await govern(world, { concurrency: 1 });
  const [result] = await ledger.enqueue([aJob({ queue })]);
  expect(result).toMatchObject({ created: true, state: "ready", waits: true });
  expect(await ledger.takeUnsent({ limit: 100 })).toEqual([]);
  expect(await claim([result!.id])).toEqual([]);
  expect(await releaseIds()).toEqual([result!.id]);
  expect(await claim([result!.id])).toHaveLength(1);
});

test("concurrency counts what is released and unfinished, over all workers", async () => {
  const { enqueue, releaseIds, claim, succeed } = await govern(world, { concurrency: 3 });
  const ids = await enqueue(10);
  expect(await releaseIds()).toEqual(ids.slice(0, 3));
  expect(await releaseIds()).toEqual([]);
  const running = await claim(ids.slice(0, 3));
  expect(await releaseIds()).toEqual([]);
  await succeed(running.slice(0, 2));
  expect(await releaseIds()).toEqual(ids.slice(3, 5));
});

test("a priority goes before a lower one, and inside it the longer due first", async () => {
  const { enqueue, drain } = await govern(world, { priority: true });
  const low = await enqueue(3);
  const high = await enqueue(3, { priority: 9 });
  const middle = await enqueue(3, { priority: 5 });
  expect(await drain(2)).toEqual([...high, ...middle, ...low]);
});

test("a waiting job changes its priority, one under way does not", async () => {
  const { enqueue, drain, releaseIds, ledger, claim, succeed } = await govern(world, { priority: true });
  const [first, second, third] = await enqueue(3);
  expect(await releaseIds(1)).toEqual([first]);
  expect(await ledger.limits.changePriority(first!, 5)).toEqual({ kind: "under_way" });
  expect(await ledger.limits.changePriority(third!, 5)).toEqual({ kind: "changed" });
  await succeed(await claim([first!]));
  expect(await drain()).toEqual([third, second]);
  expect(await ledger.limits.changePriority(first!, 5)).toEqual({ kind: "finished", state: "succeeded" });
});

test("no more is released than living workers can use, and nothing without a worker", async () => {
  const few = await govern(world, { priority: true }, { places: 8 });
  await few.enqueue(100);
  expect(await few.releaseIds()).toHaveLength(8 + 2);
  await few.ledger.retireWorker(few.worker);
  const none = await govern(world, { priority: true });
  await none.ledger.retireWorker(none.worker);
  await none.enqueue(5);
  expect(await none.releaseIds()).toEqual([]);
});

test("the line is measured: how many wait, since when, and how many are released", async () => {
  const { ledger, queue, enqueue, release } = await govern(world, { concurrency: 2 });
  await enqueue(3);
  await enqueue(3, { priority: 7 });
  await release();
  const line = (await ledger.limits.lines(3)).find((one) => one.queue === queue);
  expect(line).toEqual({ queue, jobs: 3, oldestMs: expect.any(Number) as number, released: 2 });
  expect((await ledger.limits.lines(100)).find((one) => one.queue === queue)?.jobs).toBe(4);
});

describe("keys", () => {
  test("take turns: one tenant's thousand does not delay another's ten", async () => {
    const { enqueue, releaseIds } = await govern(world, { fairness: true }, { places: 8 });
    const many = new Set(await enqueue(1_000, { limitKey: "big" }));
    const ten = new Set(await enqueue(10, { limitKey: "small" }));
    const released = await releaseIds();
    expect(released).toHaveLength(10);
    expect(released.filter((id) => ten.has(id))).toHaveLength(5);
    expect(released.filter((id) => many.has(id))).toHaveLength(5);
  });

  test("the turn goes on behind the key that was served last", async () => {
    const { enqueue, drain } = await govern(world, { fairness: true });
    const keys = new Map<string, string>();
    for (const key of ["a", "b", "c", "d"]) {
      for (const id of await enqueue(3, { limitKey: key })) keys.set(id, key);
    }
    for (const id of await enqueue(3)) keys.set(id, "-");
    const order = (await drain(2)).map((id) => keys.get(id));
    expect(order.join("")).toBe("abcd-abcd-abcd-");
  });

  test("each have their concurrency, and one that is full holds up no other", async () => {
    const { enqueue, releaseIds, claim, succeed } = await govern(world, { keyConcurrency: 2 });
    const hot = await enqueue(50, { limitKey: "hot" });
    const cold = await enqueue(3, { limitKey: "cold" });
    const released = await releaseIds();
    expect([...released].sort()).toEqual([...hot.slice(0, 2), ...cold.slice(0, 2)].sort());
    expect(await releaseIds()).toEqual([]);
    await succeed(await claim([cold[0]!]));
    expect(await releaseIds()).toEqual([cold[2]]);
  });

  test("in strict order start their next job only when the one before is finished for good", async () => {
    const { enqueue, releaseIds, claim, succeed, ledger, worker } = await govern(world, { order: "strict" });
    const a = await enqueue(3, { limitKey: "a" });
    const b = await enqueue(1, { limitKey: "b" });
    expect(await releaseIds()).toEqual([a[0], b[0]]);
    const [job] = await claim([a[0]!]);
    const error = { code: "T", message: "t" };
    await ledger.settle({ ...job!, workerId: worker, outcome: { kind: "retrying", delayMs: 0, error } });
    expect(await releaseIds()).toEqual([]);
    expect(await ledger.takeDue({ limit: 10 })).toEqual([]);
    expect(await releaseIds()).toEqual([a[0]]);
    const [again] = await claim([a[0]!]);
    await ledger.settle({ ...again!, workerId: worker, outcome: { kind: "snoozed", delayMs: 60_000 } });
    expect(await releaseIds()).toEqual([]);
    await ledger.cancel(a[0]!, "TEST");
    expect(await releaseIds()).toEqual([a[1]]);
    const [next] = await claim([a[1]!]);
    await ledger.settle({ ...next!, workerId: worker, outcome: { kind: "returned" } });
    expect(await releaseIds()).toEqual([a[1]]);
    await succeed(await claim([a[1]!]));
    expect(await releaseIds()).toEqual([a[2]]);
  });

  test("in strict order do not bind jobs without a key", async () => {
    const { enqueue, releaseIds } = await govern(world, { order: "strict" });
    const free = await enqueue(4);
    expect(await releaseIds()).toEqual(free);
  });

  test("may have limits of their own", async () => {
    const { enqueue, releaseIds, ledger, queue } = await govern(world, { keyConcurrency: 1 });
    await ledger.limits.changeKey(queue, "gold", { concurrency: 3 });
    const gold = await enqueue(5, { limitKey: "gold" });
    const plain = await enqueue(5, { limitKey: "plain" });
    expect([...(await releaseIds())].sort()).toEqual([...gold.slice(0, 3), ...plain.slice(0, 1)].sort());
    await ledger.limits.changeKey(queue, "gold", { concurrency: null });
    expect((await ledger.limits.get(queue))?.keys).toEqual([]);
  });

  test("of a lower priority wait while a higher one has more", async () => {
    const { enqueue, drain } = await govern(world, { fairness: true, priority: true }, { places: 20 });
    const low = await enqueue(10, { limitKey: "a" });
    const high = await enqueue(10, { limitKey: "b", priority: 3 });
    const mixed = await enqueue(10, { limitKey: "c", priority: 3 });
    const order = await drain(7);
    expect(new Set(order.slice(0, 20))).toEqual(new Set([...high, ...mixed]));
    expect(order.slice(20)).toEqual(low);
  });
});

test("property: between two turns of a key that waits, no other key has more than two", {
  timeout: propertyTimeout(120_000),
}, async () => {
  const backlog = fc.dictionary(fc.constantFrom("a", "b", "c", "d", "e", "f"), fc.integer({ min: 1, max: 12 }), {
    minKeys: 2,
  });
  const script = fc.record({ first: backlog, later: backlog, limit: fc.integer({ min: 1, max: 5 }) });
  await fc.assert(
    fc.asyncProperty(script, async ({ first, later, limit }) => {
      const { enqueue, release, claim, succeed } = await govern(world, { fairness: true });
      const keys = new Map<string, string>();
      const left = new Map<string, number>();
      const add = async (jobs: Readonly<Record<string, number>>): Promise<void> => {
        for (const [limitKey, count] of Object.entries(jobs)) {
          for (const id of await enqueue(count, { limitKey })) keys.set(id, limitKey);
          left.set(limitKey, (left.get(limitKey) ?? 0) + count);
        }
      };
      await add(first);
      const served: string[] = [];
      const emptied = new Set<number>();
      for (let round = 0; served.length < keys.size; round += 1) {
        if (round === 2) await add(later);
        const { jobs } = await release(limit);
        for (const key of jobs.map(({ id }) => keys.get(id)!)) {
          left.set(key, left.get(key)! - 1);
          if (left.get(key) === 0) emptied.add(served.length);
          served.push(key);
        }
        await succeed(await claim(jobs.map(({ id }) => id)));
      }
      for (const key of new Set(served)) {
        const turns = served.flatMap((one, at) => (one === key ? [at] : []));
        for (const [at, turn] of turns.slice(1).entries()) {
          if (emptied.has(Number(turns[at]))) continue;
          const between = served.slice(Number(turns[at]) + 1, turn);
          for (const other of new Set(between)) {
            expect(between.filter((one) => one === other).length).toBeLessThanOrEqual(2);
          }
        }
      }
    }),
    {
      numRuns: propertyRuns(30),
      endOnFailure: true,
      examples: [[{ first: { c: 12, d: 2 }, later: { e: 6, d: 11, c: 6 }, limit: 4 }]],
    },
  );
});

test("a key of ten thousand is found past others that are full, and a full one costs the others nothing", async () => {
  const { enqueue, releaseIds, ledger, queue, claim } = await govern(world, { keyConcurrency: 1 }, { places: 10_000 });
  await ledger.query(
    `insert into ${ledger.table("jobs")} (id, run_at, send_after, max_attempts, max_stalls, version, state, queue, name, correlation_id,
       limit_key, gate, payload)
     select gen_random_uuid(), now(), now(), 5, 3, 1, 'ready', $1, 'n', 'c', 'k' || (n % 5000), 1, '{}' from generate_series(1, 10000) n`,
    [queue],
  );
  const running: string[] = [];
  while (running.length < 5_000) {
    const ids = await releaseIds(1_000);
    expect(ids.length).toBeGreaterThan(0);
    expect(await claim(ids)).toHaveLength(ids.length);
    running.push(...ids);
  }
  expect(new Set(running).size).toBe(5_000);
  const [late] = await enqueue(1, { limitKey: "zzz" });
  // five thousand keys are full; a search goes on where the one before stopped
  const found: string[] = [];
  for (let round = 0; round < 4; round += 1) found.push(...(await releaseIds()));
  expect(found).toEqual([late]);
});

describe("rates", () => {
  test("let a burst go, and then only what the bucket gets", async () => {
    const { enqueue, releaseIds, release, claim } = await govern(world, {
      rate: { limit: 10, perMs: 3_600_000, burst: 4 },
    });
    const ids = await enqueue(10);
    expect(await releaseIds()).toEqual(ids.slice(0, 4));
    expect(await releaseIds()).toEqual([]);
    await claim(ids.slice(0, 4));
    const round = await release();
    expect(round.jobs).toEqual([]);
    expect(round.nextMs).toBeGreaterThan(300_000);
    expect(round.nextMs).toBeLessThanOrEqual(360_000);
  });

  test("of keys are counted for each", async () => {
    const { enqueue, releaseIds, release, claim } = await govern(world, {
      keyRate: { limit: 1, perMs: 60_000, burst: 2 },
    });
    const a = await enqueue(5, { limitKey: "a" });
    const b = await enqueue(5, { limitKey: "b" });
    const first = await releaseIds();
    expect([...first].sort()).toEqual([...a.slice(0, 2), ...b.slice(0, 2)].sort());
    await claim(first);
    const round = await release();
    expect(round.jobs).toEqual([]);
    expect(round.nextMs).toBeGreaterThan(50_000);
  });

  test("count starts, not finished jobs: a hung job takes no more than its token", async () => {
    const { enqueue, releaseIds, claim } = await govern(world, { rate: { limit: 1, perMs: 20, burst: 1 } });
    const ids = await enqueue(3);
    for (const id of ids) {
      await expect.poll(() => releaseIds(), { interval: 5 }).toEqual([id]);
      expect(await claim([id])).toHaveLength(1);
    }
  });

  test("give back the token of a job that was taken back before it started", async () => {
    const { enqueue, releaseIds, ledger, queue } = await govern(world, { rate: { limit: 1, perMs: 60_000, burst: 2 } });
    const ids = await enqueue(5);
    expect(await releaseIds()).toEqual(ids.slice(0, 2));
    await ledger.limits.pause(queue, {});
    await ledger.limits.resume(queue, {});
    expect(await releaseIds()).toEqual(ids.slice(0, 2));
  });
});

describe("a policy that changes", () => {
  test("takes back what was released and not started, and keeps what runs", async () => {
    const { enqueue, releaseIds, claim, ledger, queue, gates } = await govern(world, { concurrency: 4 });
    const ids = await enqueue(8);
    await releaseIds();
    await claim([ids[0]!]);
    await ledger.limits.change(queue, { concurrency: 2 });
    expect(Object.values(await gates()).filter((gate) => gate === 2)).toHaveLength(1);
    expect(await claim([ids[1]!])).toEqual([]);
    expect(await releaseIds()).toEqual([ids[1]]);
    await ledger.limits.change(queue, { concurrency: 5 });
    expect(await releaseIds()).toEqual(ids.slice(1, 5));
  });

  test("counts jobs that ran when the queue was still direct", async () => {
    const { ledger, queue, enqueue, claim, releaseIds, succeed } = await govern(world, {});
    const direct = await enqueue(2);
    const running = await claim(direct);
    await ledger.limits.change(queue, { concurrency: 3 });
    const ids = await enqueue(5);
    // as seen in the instant of the change: those that were sent before it may still begin
    await ledger.query(`update ${ledger.table("queue_policies")} set governed_at = now() + interval '1 hour'`, []);
    expect(await ledger.limits.release({ queue, limit: 10 })).toMatchObject({ jobs: [], outcome: "blocked" });
    await ledger.query(`update ${ledger.table("queue_policies")} set governed_at = now() - interval '1 second'`, []);
    expect(await releaseIds()).toEqual([ids[0]]);
    await succeed(running);
    expect(await releaseIds()).toEqual(ids.slice(1, 3));
  });

  test("parks what was sent before it, when its message comes", async () => {
    const { ledger, queue, enqueue, claim, releaseIds } = await govern(world, {});
    const sent = await enqueue(3);
    expect(await ledger.takeUnsent({ limit: 100 })).toHaveLength(3);
    await ledger.limits.change(queue, { concurrency: 1 });
    await settle(ledger);
    expect(await claim(sent)).toEqual([]);
    expect(await ledger.findJob(sent[0]!)).toMatchObject({ state: "ready", attempt: 1, excused: 1 });
    expect(await releaseIds()).toEqual([sent[0]]);
    const [job] = await claim([sent[0]!]);
    expect(job).toMatchObject({ attempt: 2, excused: 1 });
  });

  test("that is removed lets everything go", async () => {
    const { ledger, queue, enqueue, releaseIds, claim } = await govern(world, { concurrency: 1 });
    const ids = await enqueue(4);
    await releaseIds();
    await ledger.limits.clear(queue);
    expect(await ledger.limits.get(queue)).toBeUndefined();
    expect(await ledger.limits.waiting()).toContainEqual({ queue, governed: false, waits: true, paused: false });
    const freed = await ledger.limits.free({ queue, limit: 100 });
    expect(freed.map(({ id }) => id).sort()).toEqual(ids.slice(1).sort());
    expect(await claim(ids)).toHaveLength(4);
    expect((await ledger.enqueue([aJob({ queue })]))[0]).not.toHaveProperty("waits");
  });

  test("declared by code again leaves what people changed since", async () => {
    const { ledger, queue } = await govern(world, {});
    await ledger.limits.declare(queue, { concurrency: 5 });
    await ledger.limits.change(queue, { concurrency: 2 });
    expect((await ledger.limits.declare(queue, { concurrency: 5 })).policy).toEqual({ concurrency: 2 });
    expect((await ledger.limits.declare(queue, { concurrency: 7 })).policy).toEqual({ concurrency: 7 });
  });
});
