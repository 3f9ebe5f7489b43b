import type { SendableJob } from "@warren/ledger";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aFlow, done, type FlowWorld, failed, openFlowWorld } from "./flow-world.ts";

let world: FlowWorld;
beforeAll(async () => {
  world = await openFlowWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

test("a job runs only after all that it comes after have succeeded, and sees their results", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: [], c: ["a", "b"], d: ["c"] }));
  expect(new Set(flow.ready.map(({ id }) => id))).toEqual(new Set([flow.jobs["a"], flow.jobs["b"]]));
  await world.end(flow, "a", done({ a: 1 }));
  expect(await world.states(flow)).toEqual({ a: "succeeded", b: "ready", c: "blocked", d: "blocked" });
  await world.end(flow, "b", done([2]));
  expect(await world.states(flow)).toMatchObject({ b: "succeeded", c: "ready", d: "blocked" });
  const outcomes = await world.ledger.flows.outcomes(flow.id, { parentsOf: flow.jobs["c"]! });
  expect(outcomes.map(({ name, state, result }) => [name, state, result])).toEqual([
    ["a", "succeeded", { a: 1 }],
    ["b", "succeeded", [2]],
  ]);
  await world.end(flow, "c", done());
  await world.end(flow, "d", done());
  expect(await world.flow(flow)).toMatchObject({ state: "succeeded", cause: undefined });
  expect(await world.signals()).toBe(0);
});

test("parents that finish at the same moment leave their child ready, never blocked, and make it ready once", async () => {
  const names = Array.from({ length: 40 }, (_, index) => `p${index}`);
  const ready: SendableJob[] = [];
  const off = world.ledger.flows.onReady((jobs) => void ready.push(...jobs));
  const flow = await world.ledger.flows.create(
    aFlow({ ...Object.fromEntries(names.map((name) => [name, []])), last: names }),
  );
  const claimed = await Promise.all(names.map((name) => world.claim(flow.jobs[name]!)));
  // another process settles half of them
  const other = await world.world.openAnother();
  const workerId = world.workerId;
  await Promise.all(
    claimed.map(({ id, attempt }, index) =>
      (index % 2 === 0 ? world.ledger : other).settle({
        id,
        attempt,
        workerId,
        outcome: done(index),
        linked: index % 3 > 0,
      }),
    ),
  );
  expect((await world.states(flow))["last"]).toBe("ready");
  expect(await world.signals()).toBe(0);
  const heard = ready.filter(({ id }) => id === flow.jobs["last"]);
  expect(heard.length).toBeLessThanOrEqual(1);
  off();
});

test("the child's own delay starts when it is unblocked, and its priority and key stay with it", async () => {
  const flow = await world.ledger.flows.create(
    aFlow({ a: [], b: { after: ["a"], job: { delayMs: 60_000, priority: 7, limitKey: "tenant" } } }),
  );
  await world.ledger.query("select pg_sleep(0.05)", []);
  const before = Date.now();
  await world.end(flow, "a", done());
  const job = await world.ledger.findJob(flow.jobs["b"]!);
  expect(job).toMatchObject({ state: "scheduled", priority: 7, limitKey: "tenant" });
  expect(job!.runAt.getTime() - before).toBeGreaterThan(59_000);
  expect(job!.runAt.getTime() - job!.createdAt.getTime()).toBeGreaterThan(60_040);
});

test("a child with an instant of its own waits for it, or starts at once when it has passed", async () => {
  const flow = await world.ledger.flows.create(
    aFlow({
      a: [],
      late: { after: ["a"], job: { runAt: new Date(Date.now() + 3_600_000) } },
      past: { after: ["a"], job: { runAt: new Date(Date.now() - 3_600_000) } },
    }),
  );
  expect(await world.states(flow)).toEqual({ a: "ready", late: "blocked", past: "blocked" });
  await world.end(flow, "a", done());
  expect(await world.states(flow)).toEqual({ a: "succeeded", late: "scheduled", past: "ready" });
});

test("a flow is made with the caller's transaction or not at all", async () => {
  const lost = world.ledger.transaction(async (run) => {
    await world.ledger.flows.createIn(run, aFlow({ a: [], b: ["a"] }, { key: "tx" }));
    throw new Error("changed my mind");
  });
  await expect(lost).rejects.toThrow("changed my mind");
  expect(await world.ledger.flows.findByKey("test", "tx")).toBeUndefined();
  const kept = await world.ledger.transaction((run) =>
    world.ledger.flows.createIn(run, aFlow({ a: [], b: ["a"] }, { key: "tx" })),
  );
  expect(await world.states(kept)).toEqual({ a: "ready", b: "blocked" });
});

test("the same name and key is one flow, however many start it at once, and each learns the same jobs", async () => {
  const starts = await Promise.all(
    Array.from({ length: 8 }, () => world.ledger.flows.create(aFlow({ a: [], b: ["a"] }, { key: "order-1" }))),
  );
  expect(starts.filter(({ created }) => created)).toHaveLength(1);
  expect(new Set(starts.map(({ id }) => id)).size).toBe(1);
  expect(new Set(starts.map(({ jobs }) => JSON.stringify(jobs))).size).toBe(1);
  const other = await world.ledger.flows.create(aFlow({ a: [] }, { key: "order-1", name: "other" }));
  expect(other.created).toBe(true);
});

test("a flow with a payload that cannot be stored leaves nothing behind", async () => {
  const flow = aFlow({ a: [], b: { after: ["a"], job: { payload: "\u0000" } } }, { key: "bad" });
  await expect(world.ledger.flows.create(flow)).rejects.toMatchObject({ code: "LEDGER_DATA_INVALID" });
  expect(await world.ledger.flows.findByKey("test", "bad")).toBeUndefined();
});

test("a flow without nodes has succeeded when it is made", async () => {
  expect(await world.ledger.flows.create(aFlow({}))).toMatchObject({ created: true, state: "succeeded" });
});

test("a job that starts on the first failure does not wait for the others, and later failures are ignored", async () => {
  const flow = await world.ledger.flows.create(
    aFlow({
      a: { onFailure: "ignore" },
      b: { onFailure: "ignore" },
      c: { onFailure: "ignore" },
      rescue: { after: ["a", "b", "c"], startOnFailure: true },
    }),
  );
  await world.end(flow, "a", done());
  expect((await world.states(flow))["rescue"]).toBe("blocked");
  await world.end(flow, "b", failed);
  expect((await world.states(flow))["rescue"]).toBe("ready");
  await world.end(flow, "c", failed);
  await world.end(flow, "rescue", done());
  expect((await world.flow(flow)).state).toBe("succeeded");
});

test("flows are listed newest first, page by page, by state and name", async () => {
  const made = [];
  for (let index = 0; index < 3; index += 1)
    made.push(await world.ledger.flows.create(aFlow({ a: [] }, { name: "listed" })));
  await world.end(made[0]!, "a", done());
  const page = await world.ledger.flows.list({ name: "listed", limit: 2 });
  expect(page.map(({ id }) => id)).toEqual([made[2]!.id, made[1]!.id]);
  const next = await world.ledger.flows.list({ name: "listed", limit: 2, before: page[1]!.id });
  expect(next.map(({ id }) => id)).toEqual([made[0]!.id]);
  expect(await world.ledger.flows.list({ name: "listed", state: "succeeded", limit: 9 })).toHaveLength(1);
});
