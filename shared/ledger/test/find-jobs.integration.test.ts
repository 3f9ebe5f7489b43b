import type { JobQuery, NewJob } from "@warren/ledger";
import { expect, test } from "vitest";
import { openLedgerWorld } from "./support/ledger-world.ts";

const job = (name: string, attributes?: NewJob["attributes"]): NewJob => ({
  queue: "default",
  name,
  version: 1,
  payload: { secret: true },
  maxAttempts: 3,
  maxStalls: 3,
  correlationId: "c",
  sendBy: "dispatcher",
  ...(attributes === undefined ? {} : { attributes }),
});

test("jobs are found by their searchable fields, unfinished and finished, newest first, page by page", async () => {
  await using world = await openLedgerWorld();
  const { ledger } = world;
  const orders = await ledger.enqueue([
    job("order", { orderId: "17", total: 5 }),
    job("order", { orderId: "17", total: 6 }),
    job("mail", { orderId: "17", vip: true }),
    job("order", { orderId: "18" }),
    job("order"),
  ]);
  const ids = orders.map(({ id }) => id);
  const workerId = await world.worker();
  const [claimed] = await ledger.claim({ workerId, ids: [ids[0]!] });
  await ledger.settle({ ...claimed!, workerId, outcome: { kind: "succeeded", result: 1 } });

  const find = async (query: JobQuery) => (await ledger.payloads.findJobs(query)).jobs.map(({ id }) => ids.indexOf(id));
  expect(await find({ attributes: { orderId: "17" } })).toEqual([2, 1, 0]);
  expect(await find({ attributes: { orderId: "17" }, name: "order" })).toEqual([1, 0]);
  expect(await find({ attributes: { orderId: "17" }, state: "succeeded" })).toEqual([0]);
  expect(await find({ attributes: { orderId: "17", total: 6 } })).toEqual([1]);
  expect(await find({ attributes: { vip: true } })).toEqual([2]);
  // a number is not its text
  expect(await find({ attributes: { orderId: 17 } })).toEqual([]);
  expect(await find({ attributes: { orderId: "17" }, state: "dead" })).toEqual([]);

  const first = await ledger.payloads.findJobs({ attributes: { orderId: "17" }, limit: 2 });
  expect([first.jobs.length, first.next]).toEqual([2, ids[1]]);
  const second = await ledger.payloads.findJobs({ attributes: { orderId: "17" }, limit: 2, cursor: first.next! });
  expect([second.jobs.map(({ id }) => id), second.next]).toEqual([[ids[0]], undefined]);
  expect(second.jobs[0]).toMatchObject({ state: "succeeded", result: 1, attributes: { orderId: "17", total: 5 } });
});

test.for<JobQuery>([
  { attributes: {} },
  { attributes: { a: 1 }, limit: 0 },
  { attributes: { a: 1 }, limit: 201 },
  { attributes: { a: 1 }, limit: Number.NaN },
  { attributes: { a: 1 }, cursor: "1; drop table jobs" },
])("the query %j is refused", async (query) => {
  await using world = await openLedgerWorld();
  await expect(world.ledger.payloads.findJobs(query)).rejects.toMatchObject({ code: "LEDGER_DATA_INVALID" });
});

test("the search goes by its index, and a plain job has no entry in it", async () => {
  await using world = await openLedgerWorld();
  const { ledger } = world;
  await ledger.enqueue(Array.from({ length: 500 }, () => job("plain")));
  await ledger.enqueue([job("order", { orderId: "17" })]);
  const plan = await ledger.transaction(async (run) => {
    await run("set local enable_bitmapscan = on", []);
    const found = await run(
      `explain select id from ${ledger.table("jobs")} where attributes @> '{"orderId":"17"}' and attributes is not null`,
      [],
    );
    return found.rows.map((row) => String(row["QUERY PLAN"])).join("\n");
  });
  expect(plan).toContain("jobs_attributes");
  const { rows } = await ledger.query(
    `select relname, reltuples::int as entries from pg_class where relname in ('jobs_sealed', 'jobs_objects')`,
    [],
  );
  expect(rows).toHaveLength(2);
  await ledger.query(`analyze ${ledger.table("jobs")}`, []);
  const sizes = await ledger.query(
    `select relname, reltuples::int as entries from pg_class where relname in ('jobs_sealed', 'jobs_objects') order by relname`,
    [],
  );
  expect(sizes.rows).toEqual([
    { relname: "jobs_objects", entries: 0 },
    { relname: "jobs_sealed", entries: 0 },
  ]);
});
