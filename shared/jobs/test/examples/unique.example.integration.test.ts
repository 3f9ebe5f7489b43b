import { afterAll, beforeAll, expect, test } from "vitest";
import { handle } from "../../src/index.ts";
import { type Bench, openBench } from "../fixture.ts";
import { rebuildIndex, remind, reminder, syncAccount } from "./unique.ts";

let bench: Bench;
beforeAll(async () => {
  bench = await openBench();
  bench.dispatch();
});
afterAll(() => bench[Symbol.asyncDispose]());

test("keep-last: while an account is synced, any number of changes make one more sync, with the latest", async () => {
  const { client } = bench;
  const started = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const second = Promise.withResolvers<void>();
  const revisions: number[] = [];
  await bench.worker([
    handle(syncAccount, async ({ payload }) => {
      revisions.push(payload.revision);
      if (revisions.length === 2) second.resolve();
      started.resolve();
      await finish.promise;
    }),
  ]);
  const first = await client.enqueue(syncAccount, { account: "a", revision: 1 });
  await started.promise;
  for (const revision of [2, 3, 4]) {
    expect(await client.enqueue(syncAccount, { account: "a", revision })).toMatchObject({
      id: first.id,
      created: false,
      deduplicated: "kept",
    });
  }
  finish.resolve();
  await second.promise;
  await bench.until(first.id, "succeeded");
  expect(revisions).toEqual([1, 4]);
});

test("debounce: each enqueue moves the start, and one job is left", async () => {
  const { client, ledger } = bench;
  const first = await client.enqueue(rebuildIndex, { index: "orders" }, { delayMs: 60_000 });
  const again = await client.enqueue(rebuildIndex, { index: "orders" }, { delayMs: 3_600_000 });
  expect(again).toMatchObject({ id: first.id, created: false, deduplicated: "extended" });
  const job = await ledger.findJob(first.id);
  expect(job!.runAt.getTime() - job!.createdAt.getTime()).toBeGreaterThan(3_500_000);
  expect(await client.enqueue(rebuildIndex, { index: "users" }, { delayMs: 60_000 })).toMatchObject({ created: true });
});

test("throttle: a second reminder of the day makes no job, though the first has run", async () => {
  await bench.worker([handle(reminder, () => undefined)]);
  const first = await remind(bench.client, reminder, "anna");
  await bench.until(first.id, "succeeded");
  expect(await remind(bench.client, reminder, "anna")).toMatchObject({ id: first.id, created: false });
  expect(await remind(bench.client, reminder, "boris")).toMatchObject({ created: true });
  expect(await bench.client.releaseUnique(reminder, "anna")).toBe(true);
  expect(await remind(bench.client, reminder, "anna")).toMatchObject({ created: true });
});
