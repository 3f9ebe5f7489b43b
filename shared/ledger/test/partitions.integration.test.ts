import type { Ledger } from "@warren/ledger";
import { v7 } from "uuid";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { historyDay } from "../src/uuid-bounds.ts";
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

const dayMs = 86_400_000;
/** One instant for all: a midnight in the middle of a test must not part what it makes from what it expects. */
const startedAt = Date.now();
const daysAgo = (days: number): number => startedAt - days * dayMs;

async function partitionOf(id: string): Promise<unknown> {
  const { rows } = await ledger.query(
    `select tableoid::regclass::text as partition from ${ledger.table("jobs_history")} where id = $1`,
    [id],
  );
  return rows[0]?.["partition"];
}

async function exists(table: string): Promise<boolean> {
  const { rows } = await ledger.query("select to_regclass($1) is not null as yes", [`warren.${table}`]);
  return rows[0]?.["yes"] === true;
}

/** A job that was made so many days ago and is finished now. */
async function finishedNow(madeDaysAgo: number): Promise<string> {
  const id = v7({ msecs: daysAgo(madeDaysAgo) });
  await ledger.enqueue([aJob({ id })]);
  await ledger.cancel(id, "test");
  return id;
}

/** Makes the partition of a past day, as if it had been made in its time. */
async function makePastDay(days: number): Promise<string> {
  const { table, from, to } = historyDay("jobs_history", daysAgo(days), 0);
  await ledger.query(
    `create table if not exists ${ledger.table(table)} partition of ${ledger.table("jobs_history")}
     for values from ('${from}') to ('${to}')`,
    [],
  );
  return table;
}

test("a finished job goes to the partition of the day in its id, and is found there", async () => {
  const id = await finishedNow(0);
  expect(await partitionOf(id)).toBe(`warren.${historyDay("jobs_history", startedAt, 0).table}`);
  expect(await ledger.findJob(id)).toMatchObject({ id, state: "cancelled" });
});

test("a job from outside the made days is kept in the default partition, and moves when its day is made", async () => {
  const id = await finishedNow(-30);
  expect(await partitionOf(id)).toBe("warren.jobs_history_default");
  const later = await world.openAnother({ daysAhead: 31 });
  const { created } = await later.maintainPartitions({ retentionDays: 30 });
  const day = historyDay("jobs_history", daysAgo(-30), 0).table;
  expect(created).toContain(day);
  expect(await partitionOf(id)).toBe(`warren.${day}`);
});

test("days past retention are dropped, later ones are not", async () => {
  const [old, young] = [await makePastDay(12), await makePastDay(9)];
  const { dropped, postponed } = await ledger.maintainPartitions({ retentionDays: 10 });
  expect(dropped).toContain(old);
  expect(dropped).not.toContain(young);
  expect(postponed).toEqual([]);
  expect([await exists(old), await exists(young)]).toEqual([false, true]);
});

test("a job that finished late outlives its day, until its own retention is over", async () => {
  const day = await makePastDay(40);
  const id = await finishedNow(40);
  expect(await partitionOf(id)).toBe(`warren.${day}`);
  expect((await ledger.maintainPartitions({ retentionDays: 30 })).dropped).toContain(day);
  expect(await ledger.findJob(id)).toMatchObject({ state: "cancelled" });
  await ledger.query(
    `update ${ledger.table("jobs_history")} set finished_at = finished_at - interval '31 days' where id = $1`,
    [id],
  );
  expect((await ledger.maintainPartitions({ retentionDays: 30 })).lateDropped).toBe(1);
  expect(await ledger.findJob(id)).toBeUndefined();
});

test("a key is forgotten with its history, but never while its job is unfinished", async () => {
  const finished = await enqueueOne(ledger, { key: "finished" });
  const waiting = await enqueueOne(ledger, { key: "waiting", delayMs: 90 * dayMs });
  await ledger.cancel(finished, "test");
  await ledger.query(`update ${ledger.table("job_keys")} set created_at = created_at - interval '31 days'`, []);
  // Its history is younger than the key: both are kept.
  expect((await ledger.maintainPartitions({ retentionDays: 30 })).keysExpired).toBe(0);
  await ledger.query(`update ${ledger.table("jobs_history")} set finished_at = finished_at - interval '31 days'`, []);
  expect((await ledger.maintainPartitions({ retentionDays: 30 })).keysExpired).toBe(1);
  const [again, kept] = await ledger.enqueue([aJob({ key: "finished" }), aJob({ key: "waiting" })]);
  expect(again?.created).toBe(true);
  expect(kept).toEqual({ id: waiting, created: false, state: "scheduled" });
});

test("several dispatchers may maintain at once, while jobs finish", async () => {
  const day = await makePastDay(50);
  const others = [ledger, await world.openAnother(), await world.openAnother({ daysAhead: 5 })];
  const [reports] = await Promise.all([
    Promise.all(others.map((other) => other.maintainPartitions({ retentionDays: 30 }))),
    Promise.all(Array.from({ length: 20 }, () => finishedNow(0))),
  ]);
  expect(reports.flatMap(({ dropped }) => dropped).filter((name) => name === day).length).toBe(1);
  expect(Object.keys(await world.states()).length).toBe(20);
});

test("a busy partition is left for the next round instead of stopping everybody", async () => {
  const day = await makePastDay(60);
  await ledger.transaction(async (run) => {
    await run(`lock table ${ledger.table(day)} in access share mode`, []);
    const other = await world.openAnother();
    expect((await other.maintainPartitions({ retentionDays: 30 })).postponed).toEqual([day]);
  });
  expect((await ledger.maintainPartitions({ retentionDays: 30 })).dropped).toEqual([day]);
});
