import type { EnqueueResult, Ledger, NewJob, Outcome, Uniqueness } from "@warren/ledger";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { aJob, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
let ledger: Ledger;
let workerId: string;
beforeAll(async () => {
  world = await openLedgerWorld();
  ledger = world.ledger;
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  await world.clear();
  workerId = await world.worker();
});

const error = { code: "TEST", message: "for the test" };

function unique(more: Partial<Uniqueness> = {}): Uniqueness {
  return { key: "k", until: "finished", onConflict: "ignore", ...more };
}

async function enqueue(more: Partial<Uniqueness> = {}, job: Partial<NewJob> = {}): Promise<EnqueueResult> {
  const [result] = await ledger.enqueue([aJob({ ...job, unique: unique(more) })]);
  return result!;
}

function latest(key: string, n: number): NewJob {
  return aJob({ unique: unique({ key, onConflict: "keep-last" }), payload: { key, n } });
}

async function claim(id: string): Promise<number | undefined> {
  const [job] = await ledger.claim({ workerId, ids: [id] });
  return job?.attempt;
}

async function end(id: string, outcome: Outcome = { kind: "succeeded", result: null }): Promise<void> {
  const attempt = await claim(id);
  expect(await ledger.settle({ id, attempt: attempt!, workerId, outcome })).toBe("applied");
}

describe("until finished", () => {
  test.for<{ how: string; outcome: Outcome }>([
    { how: "succeeds", outcome: { kind: "succeeded", result: 1 } },
    { how: "dies", outcome: { kind: "dead", reason: "TEST", error } },
  ])("another job is made only when the first $how", async ({ outcome }) => {
    const first = await enqueue();
    expect(await enqueue()).toEqual({ id: first.id, created: false, state: "ready", deduplicated: "ignored" });
    const attempt = await claim(first.id);
    expect(await enqueue()).toMatchObject({ id: first.id, created: false, state: "running" });
    await ledger.settle({
      id: first.id,
      attempt: attempt!,
      workerId,
      outcome: { kind: "retrying", delayMs: 0, error },
    });
    expect(await enqueue()).toMatchObject({ created: false, state: "retrying" });
    await ledger.takeDue({ limit: 1 });
    await end(first.id, outcome);
    const second = await enqueue();
    expect(second).toMatchObject({ created: true, state: "ready" });
    expect(second.id).not.toBe(first.id);
  });

  test("a job that is cancelled or stalls to death lets its key go", async () => {
    const first = await enqueue();
    await ledger.cancel(first.id, "test");
    const second = await enqueue({}, { maxStalls: 0 });
    expect(second.created).toBe(true);
    await claim(second.id);
    const beat = (await ledger.beats()).find(({ id }) => id === workerId)!;
    expect(await ledger.expireWorker({ id: workerId, beatSeq: beat.beatSeq })).toMatchObject({ dead: [second.id] });
    expect((await enqueue()).created).toBe(true);
    const { rows } = await ledger.query(`select count(*)::int as n from ${ledger.table("unique_keys")}`, []);
    expect(rows).toEqual([{ n: 1 }]);
  });

  test("other keys and other job names are other work", async () => {
    await enqueue();
    expect((await enqueue({ key: "other" })).created).toBe(true);
    expect((await enqueue({}, { name: "test.other" })).created).toBe(true);
  });

  test("many processes that enqueue the same keys at once make one job of each", async () => {
    const others = await Promise.all([world.openAnother(), world.openAnother()]);
    const keys = Array.from({ length: 20 }, (_, index) => String(index));
    const results = await Promise.all(
      [ledger, ...others].flatMap((one, process) =>
        keys.flatMap(() => {
          const order = process % 2 === 0 ? keys : keys.toReversed();
          return one.enqueue(order.map((key) => aJob({ unique: unique({ key }) })));
        }),
      ),
    );
    expect(results.flat().filter(({ created }) => created)).toHaveLength(keys.length);
    expect(Object.keys(await world.states())).toHaveLength(keys.length);
  });

  test("a key that a call names twice is one job, made by the first", async () => {
    const results = await ledger.enqueue([
      aJob({ unique: unique() }),
      aJob(),
      aJob({ unique: unique({ onConflict: "replace" }), payload: { latest: true } }),
    ]);
    expect(results.map(({ created }) => created)).toEqual([true, true, false]);
    expect(results[2]).toMatchObject({ id: results[0]!.id, deduplicated: "replaced" });
    expect((await ledger.findJob(results[0]!.id))?.payload).toEqual({ latest: true });
  });

  test("in the caller's transaction nothing is held unless it commits", async () => {
    await expect(
      ledger.transaction(async (run) => {
        expect(await ledger.enqueueIn(run, [aJob({ unique: unique() })])).toMatchObject([{ created: true }]);
        throw new Error("rolled back");
      }),
    ).rejects.toThrow("rolled back");
    expect((await enqueue()).created).toBe(true);
  });

  test("a key can be let go by hand, and the job that held it is left alone", async () => {
    const first = await enqueue();
    expect(await ledger.releaseUnique("test.job", "k")).toBe(true);
    expect(await ledger.releaseUnique("test.job", "k")).toBe(false);
    const second = await enqueue();
    expect(second.created).toBe(true);
    await end(first.id);
    expect(await enqueue()).toMatchObject({ id: second.id, created: false });
  });
});

describe("until started", () => {
  test("a running job does not keep the next one away, whose key its own end does not touch", async () => {
    const first = await enqueue({ until: "started" });
    expect(await enqueue({ until: "started" })).toMatchObject({ id: first.id, created: false });
    const attempt = await claim(first.id);
    const second = await enqueue({ until: "started" });
    expect(second.created).toBe(true);
    await ledger.settle({ id: first.id, attempt: attempt!, workerId, outcome: { kind: "succeeded", result: null } });
    expect(await enqueue({ until: "started" })).toMatchObject({ id: second.id, created: false });
  });
});

describe("for a time", () => {
  test("the key is held though the job has finished, and comes free when the time is over", async () => {
    const first = await enqueue({ forMs: 3_600_000 });
    await end(first.id);
    expect(await enqueue({ forMs: 3_600_000 })).toEqual({
      id: first.id,
      created: false,
      state: "succeeded",
      deduplicated: "ignored",
    });
    await ledger.query(`update ${ledger.table("unique_keys")} set expires_at = clock_timestamp()`, []);
    expect((await enqueue({ forMs: 3_600_000 })).created).toBe(true);
  });

  test("maintenance forgets keys whose time is over", async () => {
    await enqueue({ forMs: 1 });
    await enqueue({ key: "long", forMs: 3_600_000 });
    await ledger.query("select pg_sleep(0.01)", []);
    await ledger.maintainPartitions({ retentionDays: 1 });
    const { rows } = await ledger.query(`select key from ${ledger.table("unique_keys")}`, []);
    expect(rows).toEqual([{ key: "long" }]);
  });
});

describe("on conflict", () => {
  test("replace gives a job that has not started the new payload and keeps its time", async () => {
    const first = await enqueue({}, { delayMs: 3_600_000, payload: { n: 1 } });
    const before = await ledger.findJob(first.id);
    expect(await enqueue({ onConflict: "replace" }, { payload: { n: 2 }, delayMs: 60_000 })).toMatchObject({
      id: first.id,
      deduplicated: "replaced",
      state: "scheduled",
    });
    expect(await ledger.findJob(first.id)).toMatchObject({ payload: { n: 2 }, runAt: before!.runAt });
    const other = await enqueue({ key: "other" }, { payload: { n: 1 } });
    await claim(other.id);
    expect(await enqueue({ key: "other", onConflict: "replace" }, { payload: { n: 2 } })).toMatchObject({
      deduplicated: "ignored",
      state: "running",
    });
  });

  test("extend starts the time anew, even of a job whose message is under way", async () => {
    const first = await enqueue();
    expect(await enqueue({ onConflict: "extend" }, { delayMs: 3_600_000, payload: { n: 2 } })).toMatchObject({
      id: first.id,
      deduplicated: "extended",
      state: "scheduled",
    });
    expect(await claim(first.id)).toBeUndefined();
    expect(await enqueue({ onConflict: "extend" }, { payload: { n: 3 } })).toMatchObject({ state: "ready" });
    expect(await ledger.takeUnsent({ limit: 10 })).toMatchObject([{ id: first.id }]);
    expect(await ledger.findJob(first.id)).toMatchObject({ payload: { n: 3 } });
  });

  test("keep-last runs the latest once more, after the running job has finished for good", async () => {
    const first = await enqueue({ onConflict: "keep-last" }, { payload: { n: 1 } });
    expect(await enqueue({ onConflict: "keep-last" }, { payload: { n: 2 } })).toMatchObject({
      deduplicated: "replaced",
    });
    const attempt = await claim(first.id);
    for (const n of [3, 4]) {
      expect(await enqueue({ onConflict: "keep-last" }, { payload: { n }, sendBy: "enqueuer" })).toMatchObject({
        id: first.id,
        deduplicated: "kept",
      });
    }
    const settle = (outcome: Outcome) => ledger.settle({ id: first.id, attempt: attempt!, workerId, outcome });
    await settle({ kind: "retrying", delayMs: 0, error });
    expect(Object.keys(await world.states())).toHaveLength(1);
    await ledger.takeDue({ limit: 1 });
    await end(first.id, { kind: "dead", reason: "TEST", error });

    const [next, ...none] = await ledger.takeUnsent({ limit: 10 });
    expect(none).toEqual([]);
    expect(await ledger.findJob(next!.id)).toMatchObject({ state: "ready", payload: { n: 4 } });
    expect(await enqueue()).toMatchObject({ id: next!.id, created: false });
    await end(next!.id);
    expect(await ledger.takeUnsent({ limit: 10 })).toEqual([]);
    expect((await enqueue()).created).toBe(true);
  });

  test("settlements and conflicting enqueues at once neither deadlock nor lose the latest", async () => {
    const keys = Array.from({ length: 10 }, (_, index) => String(index));
    const first = await ledger.enqueue(keys.map((key) => latest(key, 0)));
    const claimed = await ledger.claim({ workerId, ids: first.map(({ id }) => id) });
    const another = await world.openAnother();
    await Promise.all([
      ...claimed.map(({ id, attempt }) =>
        ledger.settle({ id, attempt, workerId, outcome: { kind: "succeeded", result: null }, linked: true }),
      ),
      ...Array.from({ length: 10 }, (_, n) =>
        another.enqueue((n % 2 === 0 ? keys : keys.toReversed()).map((key) => latest(key, n + 1))),
      ),
    ]);
    const { rows } = await ledger.query(`select payload from ${ledger.table("jobs")}`, []);
    // what came last for its key is the one that waits now
    expect(rows).toHaveLength(keys.length);
    const { rows: held } = await ledger.query(`select count(*)::int as n from ${ledger.table("unique_keys")}`, []);
    expect(held).toEqual([{ n: keys.length }]);
  });
});

test("an id of one's own and a unique key exclude each other", async () => {
  await expect(ledger.enqueue([aJob({ key: "a", unique: unique() })])).rejects.toMatchObject({
    code: "LEDGER_DATA_INVALID",
  });
  await expect(ledger.enqueue([aJob({ key: "a" }), aJob({ unique: unique() })])).rejects.toMatchObject({
    code: "LEDGER_DATA_INVALID",
  });
});
