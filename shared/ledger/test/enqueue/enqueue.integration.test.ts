import { migrate, newId, type RunSql } from "@warren/ledger";
import { waitFor } from "@warren/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { aJob, createTestLog, enqueueOne, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
beforeAll(async () => {
  world = await openLedgerWorld();
});
beforeEach(() => world.clear());
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

test("a job is there as it was enqueued", async () => {
  const { ledger } = world;
  const id = await enqueueOne(ledger, {
    payload: { text: "grüße 👋", list: [1, null], nothing: null },
    priority: 3,
    breakers: ["smtp:send"],
    trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  });
  expect(await ledger.findJob(id)).toMatchObject({
    id,
    state: "ready",
    queue: "default",
    name: "test.job",
    version: 1,
    payload: { text: "grüße 👋", list: [1, null], nothing: null },
    priority: 3,
    attempt: 0,
    maxAttempts: 5,
    correlationId: "test",
    trace: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    finishedAt: undefined,
  });
});

test.for([null, undefined, 0, "", false, []])("the payload %j survives", async (payload) => {
  const id = await enqueueOne(world.ledger, { payload });
  expect((await world.ledger.findJob(id))?.payload).toEqual(payload ?? null);
});

test("concurrent calls share statements, and each call gets its own results in its order", async () => {
  const { ledger } = world;
  const calls = await Promise.all(
    Array.from({ length: 200 }, (_, call) =>
      ledger.enqueue([aJob({ payload: { call, at: 0 } }), aJob({ payload: { call, at: 1 }, delayMs: 60_000 })]),
    ),
  );
  for (const [call, results] of calls.entries()) {
    expect(results.map(({ created, state }) => ({ created, state }))).toEqual([
      { created: true, state: "ready" },
      { created: true, state: "scheduled" },
    ]);
    const [first, second] = await Promise.all(results.map(({ id }) => ledger.findJob(id)));
    expect([first?.payload, second?.payload]).toEqual([
      { call, at: 0 },
      { call, at: 1 },
    ]);
  }
});

describe("a payload that Postgres cannot store", () => {
  test.for([
    { what: "U+0000", payload: { text: "a\u0000b" } },
    { what: "a lone surrogate", payload: { text: "\ud800" } },
    { what: "a number beyond numeric", payload: undefined, priority: 2 ** 40 },
  ])("$what fails its own call only, with a typed error", async ({ payload, priority }) => {
    const { ledger } = world;
    const poison = aJob({ payload, ...(priority === undefined ? {} : { priority }) });
    const calls = await Promise.allSettled(
      Array.from({ length: 40 }, (_, index) => ledger.enqueue(index === 17 ? [aJob(), poison] : [aJob()])),
    );
    const failed = calls.flatMap((call, index) => (call.status === "rejected" ? [{ index, reason: call.reason }] : []));
    expect(failed).toEqual([
      { index: 17, reason: expect.objectContaining({ code: "LEDGER_DATA_INVALID", retryable: false }) },
    ]);
    // The whole call, not half of it: its good job is not there either.
    expect(Object.keys(await world.states()).length).toBe(39);
  });

  test("a BigInt or a cycle fails before anything is sent", async () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    for (const payload of [{ big: 1n }, cycle]) {
      await expect(world.ledger.enqueue([aJob({ payload })])).rejects.toMatchObject({ code: "LEDGER_DATA_INVALID" });
    }
  });
});

describe("a key", () => {
  test("makes one job of two calls, and of twins inside one call", async () => {
    const { ledger } = world;
    const [first, twin] = await ledger.enqueue([aJob({ key: "order-1" }), aJob({ key: "order-1" })]);
    const [later] = await ledger.enqueue([aJob({ key: "order-1" })]);
    expect(first).toMatchObject({ created: true, state: "ready" });
    expect(twin).toEqual({ id: first!.id, created: false, state: "ready" });
    expect(later).toEqual({ id: first!.id, created: false, state: "ready" });
    expect(Object.keys(await world.states())).toEqual([first!.id]);
  });

  test("belongs to its job name: the same key of another job is another job", async () => {
    const results = await world.ledger.enqueue([aJob({ key: "k", name: "a" }), aJob({ key: "k", name: "b" })]);
    expect(results.map(({ created }) => created)).toEqual([true, true]);
  });

  test("still finds its job when that has finished", async () => {
    const { ledger } = world;
    const id = await enqueueOne(ledger, { key: "k" });
    await ledger.cancel(id, "test");
    expect(await ledger.enqueue([aJob({ key: "k" })])).toEqual([{ id, created: false, state: "cancelled" }]);
  });

  test("is immune to races: fifty processes enqueue the same keys in different orders, one job each is made", async () => {
    const others = await Promise.all(Array.from({ length: 4 }, () => world.openAnother({ poolSize: 4 })));
    const keys = Array.from({ length: 30 }, (_, index) => `k${index}`);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, call) => {
        const turned = keys.map((_key, index) => keys[(index * 7 + call) % keys.length]!);
        return others[call % others.length]!.enqueue(turned.map((key) => aJob({ key })));
      }),
    );
    expect(answers.flat().filter(({ created }) => created).length).toBe(keys.length);
    expect(Object.keys(await world.states()).length).toBe(keys.length);
    expect(new Set(answers.flat().map(({ id }) => id)).size).toBe(keys.length);
  });

  test("waits for the transaction that took it first, and follows its end", async () => {
    const { ledger } = world;
    const other = await world.openAnother();
    for (const end of ["commit", "roll back"] as const) {
      let late: Promise<readonly { created: boolean }[]> | undefined;
      const first = ledger.transaction(async (run) => {
        await ledger.enqueueIn(run, [aJob({ key: end })]);
        late = other.enqueue([aJob({ key: end })]);
        await somebodyWaits();
        if (end === "roll back") throw new Error("rolled back by the test");
      });
      await first.catch(() => undefined);
      expect((await late!)[0]!.created).toBe(end === "roll back");
    }
  });

  test("taken by a long transaction holds up only calls that name it", async () => {
    const { ledger } = world;
    const other = await world.openAnother({ lockTimeoutMs: 300 });
    await ledger.transaction(async (run) => {
      await ledger.enqueueIn(run, [aJob({ key: "taken" })]);
      const order: string[] = [];
      const noted = <T>(name: string, call: Promise<T>): Promise<T> => call.finally(() => order.push(name));
      const [blocked, free, fresh] = await Promise.allSettled([
        noted("blocked", other.enqueue([aJob({ key: "taken" })])),
        noted("free", other.enqueue([aJob({ key: "free" })])),
        noted("fresh", other.enqueue([aJob()])),
      ]);
      expect(blocked).toMatchObject({ status: "rejected", reason: { code: "LEDGER_UNAVAILABLE", retryable: true } });
      expect([free.status, fresh.status]).toEqual(["fulfilled", "fulfilled"]);
      expect(order[0]).toBe("fresh");
    });
  });
});

describe("a chosen id", () => {
  test("enqueued again after a lost answer makes no second job, even when the first has finished", async () => {
    const { ledger } = world;
    const id = newId();
    expect(await ledger.enqueue([aJob({ id })])).toEqual([{ id, created: true, state: "ready" }]);
    expect(await ledger.enqueue([aJob({ id }), aJob({ id })])).toEqual([
      { id, created: false, state: "ready" },
      { id, created: false, state: "ready" },
    ]);
    await ledger.cancel(id, "test");
    expect(await ledger.enqueue([aJob({ id })])).toEqual([{ id, created: false, state: "cancelled" }]);
    expect(await world.states()).toEqual({ [id]: "cancelled" });
  });

  test("made, run and finished between the repetitions is still one job", async () => {
    const { ledger } = world;
    const workerId = await world.worker();
    const ids = Array.from({ length: 40 }, () => newId());
    await ledger.enqueue(ids.map((id) => aJob({ id })));
    const repeat = async (): Promise<void> => {
      for (let round = 0; round < 10; round += 1) await ledger.enqueue(ids.map((id) => aJob({ id })));
    };
    const finish = async (): Promise<void> => {
      for (const id of ids) {
        for (const { attempt } of await ledger.claim({ workerId, ids: [id] })) {
          await ledger.settle({ id, attempt, workerId, outcome: { kind: "succeeded", result: null } });
        }
      }
    };
    await Promise.all([repeat(), finish()]);
    expect(await world.states()).toEqual(Object.fromEntries(ids.map((id) => [id, "succeeded"])));
  });
});

describe("in the caller's transaction", () => {
  test("jobs appear with its commit and vanish with its rollback", async () => {
    const { ledger } = world;
    await ledger.query("create table orders (id integer)", []);
    const place = (fails: boolean): Promise<void> =>
      ledger.transaction(async (run) => {
        await run("insert into orders values (1)", []);
        await ledger.enqueueIn(run, [aJob(), aJob({ key: "in-tx" })]);
        expect(Object.keys(await world.states())).toEqual([]);
        if (fails) throw new Error("no");
      });
    await expect(place(true)).rejects.toThrow("no");
    expect(Object.keys(await world.states())).toEqual([]);
    await place(false);
    expect(Object.keys(await world.states()).length).toBe(2);
    expect((await ledger.query("select * from orders", [])).rows.length).toBe(1);
  });

  test("only text and numbers travel as parameters, so any driver's raw query will do", async () => {
    const { ledger } = world;
    const values: unknown[] = [];
    await ledger.transaction(async (run) => {
      const spy: RunSql = (text, given) => {
        values.push(...given);
        return run(text, given);
      };
      await ledger.enqueueIn(spy, [aJob({ id: newId(), key: "k", breakers: ["a:b"], runAt: new Date(0) })]);
    });
    expect(values.every((value) => typeof value === "string")).toBe(true);
  });
});

test("when the job is published is the sender's turn first, and the dispatcher's 5 s later", async () => {
  const { ledger } = world;
  await enqueueOne(ledger, { sendBy: "enqueuer" });
  expect(await ledger.takeUnsent({ limit: 10 })).toEqual([]);
  const id = await enqueueOne(ledger, { sendBy: "dispatcher" });
  expect(await ledger.takeUnsent({ limit: 10 })).toEqual([{ id, queue: "default", name: "test.job", attempt: 0 }]);
  await ledger.query(`update ${ledger.table("jobs")} set send_after = send_after - interval '5 seconds'`, []);
  expect((await ledger.takeUnsent({ limit: 10 })).length).toBe(1);
});

test("two schemas of one database are two ledgers", async () => {
  const { log } = createTestLog();
  await migrate({ connectionString: world.databaseUrl, schema: "other", log });
  const other = await world.openAnother({ schema: "other" });
  await enqueueOne(other);
  expect(Object.keys(await world.states())).toEqual([]);
});

/** Until a statement of this database waits for a lock. */
async function somebodyWaits(): Promise<void> {
  const text = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
  await waitFor(async () => (await world.ledger.query(text, [])).rows.length > 0, { what: "a statement to wait" });
}
