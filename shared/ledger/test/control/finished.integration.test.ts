import type { Ledger } from "@warren/ledger";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { enqueueOne, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

let world: LedgerWorld;
let ledger: Ledger;
let workerId: string;
beforeAll(async () => {
  world = await openLedgerWorld();
  ({ ledger } = world);
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  await world.clear();
  workerId = await world.worker();
});

const error = { code: "TEST", message: "for the test" };
const unknown = "01900000-0000-7000-8000-000000000000";

async function succeeded(result: unknown): Promise<string> {
  const id = await enqueueOne(ledger);
  await ledger.claim({ workerId, ids: [id] });
  await ledger.settle({ id, attempt: 1, workerId, outcome: { kind: "succeeded", result } });
  return id;
}

async function dead(): Promise<string> {
  const id = await enqueueOne(ledger, { maxAttempts: 3, breakers: ["a:call"] });
  await ledger.claim({ workerId, ids: [id] });
  await ledger.settle({ id, attempt: 1, workerId, outcome: { kind: "dead", reason: "TEST", error } });
  return id;
}

test("a dead job comes back whole: errors, breakers, all its attempts anew", async () => {
  const id = await dead();
  expect(await ledger.control.retry([id], {})).toEqual([{ id, kind: "retried" }]);
  expect(await ledger.findJob(id)).toMatchObject({
    state: "ready",
    errors: [{ code: "TEST" }],
    attempt: 1,
    excused: 1,
    maxAttempts: 3,
  });
  expect((await ledger.takeUnsent({ limit: 10 })).map((job) => job.id)).toEqual([id]);
  const [claimed] = await ledger.claim({ workerId, ids: [id] });
  expect(claimed).toMatchObject({ attempt: 2, excused: 1, breakers: ["a:call"] });
});

test("it can come back with other attempts and another payload", async () => {
  const id = await dead();
  const payload = { json: `{"edited":true}`, form: null, version: 2, attributes: { city: "Riga" } };
  await ledger.control.retry([id], { attempts: 7, payload });
  const job = await ledger.findJob(id);
  expect(job).toMatchObject({ payload: { edited: true }, version: 2, maxAttempts: 7, attributes: { city: "Riga" } });
});

test("a retry says what stands in its way", async () => {
  const [waiting, done, twice] = [await enqueueOne(ledger), await succeeded(1), await dead()];
  const ids = [waiting, done, unknown, twice];
  expect(await ledger.control.retry(ids, {})).toEqual([
    { id: waiting, kind: "unfinished", state: "ready" },
    { id: done, kind: "succeeded" },
    { id: unknown, kind: "missing" },
    { id: twice, kind: "retried" },
  ]);
  expect(await ledger.control.retry([twice], {})).toEqual([{ id: twice, kind: "unfinished", state: "ready" }]);
});

test("two retries at once bring a job back once", async () => {
  const id = await dead();
  const answers = (await Promise.all([1, 2, 3].map(() => ledger.control.retry([id], {})))).flat();
  expect(answers.map(({ kind }) => kind).sort()).toEqual(["retried", "unfinished", "unfinished"]);
});

test("a retry in a transaction that rolls back leaves the job in history", async () => {
  const id = await dead();
  const undone = ledger.transaction(async (run) => {
    await ledger.control.retry([id], {}, run);
    throw new Error("no");
  });
  await expect(undone).rejects.toThrow("no");
  expect(await world.states()).toEqual({ [id]: "dead" });
});

test("only dead and cancelled jobs can be discarded, and a discard can be taken back", async () => {
  const [waiting, done, gone] = [await enqueueOne(ledger), await succeeded(1), await dead()];
  expect(await ledger.control.discard([waiting, done, gone, unknown], "anna")).toEqual([
    { id: waiting, kind: "refused", state: "ready" },
    { id: done, kind: "refused", state: "succeeded" },
    { id: gone, kind: "done" },
    { id: unknown, kind: "missing" },
  ]);
  expect(await ledger.control.discard([gone], "bert")).toEqual([{ id: gone, kind: "unchanged" }]);
  expect(await ledger.control.retry([gone], {})).toEqual([{ id: gone, kind: "discarded" }]);
  expect(await ledger.control.restore([gone], "anna")).toEqual([{ id: gone, kind: "done" }]);
  expect(await ledger.control.retry([gone], {})).toEqual([{ id: gone, kind: "retried" }]);
});

test("the end of a job is told, and a result is forgotten when its time is over", async () => {
  const { results } = ledger.control;
  const [waiting, kept, brief, gone] = [
    await enqueueOne(ledger),
    await succeeded("kept"),
    await succeeded("brief"),
    await dead(),
  ];
  await results.expireIn(kept, 60_000);
  await results.expireIn(brief, 0);
  const told = [
    { id: waiting, kind: "unfinished", state: "ready" },
    { id: kept, kind: "succeeded", name: "test.job", result: "kept" },
    { id: brief, kind: "expired" },
    { id: gone, kind: "dead", reason: "TEST", by: undefined, lastError: expect.objectContaining(error) },
    { id: unknown, kind: "missing" },
  ];
  expect(await results.ends([waiting, kept, brief, gone, unknown])).toEqual(told);
  expect(await results.sweep({ limit: 10 })).toBe(1);
  expect(await results.ends([waiting, kept, brief, gone, unknown])).toEqual(told);
  expect((await ledger.findJob(brief))?.result).toBeUndefined();
  expect(await results.sweep({ limit: 10 })).toBe(0);
});

test("the last progress counts, and a fenced attempt cannot put it back", async () => {
  const { progress } = ledger.control;
  const id = await enqueueOne(ledger);
  expect(await progress.get(id)).toBeUndefined();
  for (const value of [1, "two", null, { three: [3] }]) {
    await progress.save([{ id, attempt: 2, value }]);
    expect((await progress.get(id))?.value).toEqual(value);
  }
  await progress.save([{ id, attempt: 1, value: "late" }]);
  expect(await progress.get(id)).toMatchObject({ value: { three: [3] }, attempt: 2 });
});

test("lines come in order and in pages, and a repeated write adds none twice", async () => {
  const { progress } = ledger.control;
  const id = await enqueueOne(ledger);
  const at = new Date("2026-01-01T00:00:00Z");
  const lines = [0, 1, 2].map((line) => ({ id, attempt: 2, line, at, text: `second ${line}` }));
  await progress.addLines(lines);
  await progress.addLines([...lines, { id, attempt: 1, line: 0, at, text: "first" }]);
  const first = await progress.lines(id, { after: undefined, limit: 3 });
  expect(first.lines.map(({ text }) => text)).toEqual(["first", "second 0", "second 1"]);
  const second = await progress.lines(id, { after: first.next, limit: 3 });
  expect(second).toEqual({ lines: [{ attempt: 2, line: 2, at, text: "second 2" }], next: undefined });
});

test("jobs of several states are listed newest first, in pages of both directions", async () => {
  const ids = [
    await enqueueOne(ledger),
    await dead(),
    await succeeded(1),
    await enqueueOne(ledger, { delayMs: 60_000 }),
    await dead(),
  ];
  const base = { discarded: false, limit: 2, cursor: undefined, direction: "older" } as const;
  const listed = async (more: Partial<Parameters<typeof ledger.control.list>[0]>) => {
    const page = await ledger.control.list({ ...base, filter: {}, ...more });
    return { ids: page.jobs.map(({ id }) => ids.indexOf(id)), next: page.next };
  };
  const first = await listed({});
  expect(first.ids).toEqual([4, 3]);
  const second = await listed({ cursor: first.next });
  expect(second.ids).toEqual([2, 1]);
  expect(await listed({ cursor: second.next })).toEqual({ ids: [0], next: undefined });
  expect((await listed({ cursor: ids[1], direction: "newer" })).ids).toEqual([3, 2]);
  expect((await listed({ filter: { states: ["ready", "dead"] }, limit: 9 })).ids).toEqual([4, 1, 0]);
  await ledger.control.discard([ids[4]!], "anna");
  expect((await listed({ filter: { states: ["dead"] }, limit: 9 })).ids).toEqual([1]);
  expect((await listed({ filter: { states: ["dead"] }, limit: 9, discarded: true })).ids).toEqual([4, 1]);
});

test("a list that finds little among many goes on from where it stopped looking", async () => {
  const needle = await enqueueOne(ledger, { name: "needle" });
  await ledger.query(
    `insert into ${ledger.table("jobs")} (id, run_at, send_after, max_attempts, max_stalls, version, state, queue, name, correlation_id, payload)
     select ('01ff' || lpad(to_hex(n), 4, '0') || '-0000-7000-8000-000000000000')::uuid, now(), now(), 1, 1, 1, 'ready', 'hay', 'hay', 'c', '1'
     from generate_series(1, 12000) n`,
    [],
  );
  const filter = { name: "needle" };
  const first = await ledger.control.list({
    filter,
    discarded: false,
    limit: 5,
    cursor: undefined,
    direction: "older",
  });
  expect(first.jobs).toEqual([]);
  expect(first.next).toBeDefined();
  const second = await ledger.control.list({
    filter,
    discarded: false,
    limit: 5,
    cursor: first.next,
    direction: "older",
  });
  expect(second.jobs.map(({ id }) => id)).toEqual([needle]);
  expect(second.next).toBeUndefined();
});

test("jobs are counted by queue and state, and estimated when there are very many", async () => {
  await enqueueOne(ledger, { queue: "a" });
  await enqueueOne(ledger, { queue: "a", delayMs: 60_000 });
  await dead();
  const few = await ledger.control.counts();
  expect(few).toMatchObject({ isExact: true, isFailedCapped: false });
  expect(few.counts).toEqual([
    { queue: "a", state: "ready", jobs: 1 },
    { queue: "a", state: "scheduled", jobs: 1 },
    { queue: "default", state: "dead", jobs: 1 },
  ]);
  await ledger.query(
    `insert into ${ledger.table("jobs")} (id, run_at, send_after, max_attempts, max_stalls, version, state, queue, name, correlation_id, payload)
     select gen_random_uuid(), now(), now(), 1, 1, 1, 'ready', 'many', 'many', 'c', '1' from generate_series(1, 60000)`,
    [],
  );
  await ledger.query(`analyze ${ledger.table("jobs")}`, []);
  const many = await ledger.control.counts();
  expect(many.isExact).toBe(false);
  const estimated = many.counts.find(({ queue }) => queue === "many")?.jobs;
  expect(estimated).toBeGreaterThan(40_000);
  expect(estimated).toBeLessThan(80_000);
});
