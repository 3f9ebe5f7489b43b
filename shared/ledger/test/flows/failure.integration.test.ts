import { afterAll, beforeAll, expect, test } from "vitest";
import { aFlow, done, type FlowWorld, failed, openFlowWorld, undo } from "./flow-world.ts";

let world: FlowWorld;
beforeAll(async () => {
  world = await openFlowWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

test("by default the failure of a job fails its flow: what waits is cancelled, and what comes after never runs", async () => {
  const flow = await world.ledger.flows.create(
    aFlow({ a: [], b: ["a"], c: ["b"], other: { job: { delayMs: 60_000 } } }),
  );
  await world.end(flow, "a", failed);
  expect(await world.states(flow)).toEqual({ a: "failed", b: "cancelled", c: "cancelled", other: "cancelled" });
  expect(await world.flow(flow)).toMatchObject({ state: "failed", cause: "failed", reason: "TEST", failedNode: "a" });
  expect((await world.ledger.findJob(flow.jobs["b"]!))?.reason).toBe("FLOW_FAILED");
  expect(await world.signals()).toBe(0);
});

test("a failed flow asks running jobs to stop and ends when they have, whatever they report", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], busy: [], after: ["busy"] }));
  const busy = await world.claim(flow.jobs["busy"]!);
  await world.end(flow, "a", failed);
  expect((await world.flow(flow)).state).toBe("stopping");
  expect(await world.ledger.findJob(busy.id)).toMatchObject({ state: "running", cancelReason: "FLOW_FAILED" });
  await world.settle(busy, done());
  expect(await world.states(flow)).toEqual({ a: "failed", busy: "succeeded", after: "cancelled" });
  expect((await world.flow(flow)).state).toBe("failed");
});

test("a running job of a failed flow that would try again is cancelled instead", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], busy: [] }));
  const busy = await world.claim(flow.jobs["busy"]!);
  await world.end(flow, "a", failed);
  await world.settle(busy, { kind: "retrying", delayMs: 60_000, error: { code: "TEST", message: "again" } });
  await world.ledger.flows.sweepStopping({ limit: 10 });
  expect((await world.states(flow))["busy"]).toBe("cancelled");
  expect((await world.flow(flow)).state).toBe("failed");
});

test("an ignored failure lets what comes after run, without its result", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: { onFailure: "ignore" }, b: [], c: ["a", "b"] }));
  await world.end(flow, "a", failed);
  await world.end(flow, "b", done(2));
  const outcomes = await world.ledger.flows.outcomes(flow.id, { parentsOf: flow.jobs["c"]! });
  expect(outcomes.map(({ state, result, reason }) => ({ state, result, reason }))).toEqual([
    { state: "failed", result: undefined, reason: "TEST" },
    { state: "succeeded", result: 2, reason: undefined },
  ]);
  await world.end(flow, "c", done());
  expect((await world.flow(flow)).state).toBe("succeeded");
});

test("a failure that lets others continue skips only what comes after it, and the flow fails at its end", async () => {
  const flow = await world.ledger.flows.create(
    aFlow({ a: { onFailure: "continue" }, b: ["a"], c: ["b"], free: [], last: ["free"], both: ["c", "free"] }),
  );
  await world.end(flow, "a", failed);
  expect(await world.states(flow)).toMatchObject({
    a: "failed",
    b: "skipped",
    c: "skipped",
    both: "skipped",
    free: "ready",
  });
  expect((await world.flow(flow)).state).toBe("running");
  await world.end(flow, "free", done());
  await world.end(flow, "last", done());
  expect(await world.flow(flow)).toMatchObject({ state: "failed", reason: "TEST", failedNode: "a" });
});

test("a skipped job that may fail is skipped alone: what comes after it runs", async () => {
  const flow = await world.ledger.flows.create(
    aFlow({ a: { onFailure: "continue" }, b: { after: ["a"], onFailure: "ignore" }, c: ["b"] }),
  );
  await world.end(flow, "a", failed);
  expect(await world.states(flow)).toEqual({ a: "failed", b: "skipped", c: "ready" });
});

test.for([
  { how: "a stall too many", end: stallToDeath },
  { how: "a condemned message", end: condemn },
  { how: "a cancelled job", end: cancelOne },
])("$how has the same consequence for the flow as a failure", async ({ end }) => {
  const flow = await world.ledger.flows.create(aFlow({ a: { job: { maxStalls: 0 } }, b: ["a"] }));
  await end(flow.jobs["a"]!);
  expect((await world.states(flow))["b"]).toBe("cancelled");
  expect(await world.flow(flow)).toMatchObject({ state: "failed", failedNode: "a" });
});

async function stallToDeath(id: string): Promise<void> {
  const workerId = await world.world.worker();
  await world.ledger.claim({ workerId, ids: [id] });
  const beat = (await world.ledger.beats()).find((one) => one.id === workerId)!;
  expect(await world.ledger.expireWorker(beat)).toMatchObject({ expired: true, dead: [id] });
}
async function condemn(id: string): Promise<void> {
  await world.ledger.condemn([id], { reason: "JOB_UNDELIVERABLE", error: { code: "JOB_UNDELIVERABLE", message: "x" } });
}
async function cancelOne(id: string): Promise<void> {
  expect(await world.ledger.cancel(id, "not wanted")).toEqual({ kind: "cancelled" });
}

test("a cancelled flow cancels what waits, and says who wanted it and why", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], busy: [], b: ["a", "busy"] }));
  const busy = await world.claim(flow.jobs["busy"]!);
  const why = { reason: "customer left", by: "anna" };
  const answer = await world.ledger.flows.cancel(flow.id, why);
  expect(answer).toMatchObject({ kind: "cancelled", cancelRequested: [busy.id] });
  expect(await world.states(flow)).toEqual({ a: "cancelled", busy: "running", b: "cancelled" });
  expect(await world.ledger.findJob(busy.id)).toMatchObject({ cancelReason: "FLOW_CANCELLED", cancelledBy: "anna" });
  expect(await world.ledger.flows.cancel(flow.id, why)).toMatchObject({ kind: "ending" });
  await world.settle(busy, { kind: "cancelled", reason: "FLOW_CANCELLED" });
  expect(await world.flow(flow)).toMatchObject({ state: "cancelled", reason: "customer left", stoppedBy: "anna" });
  expect(await world.ledger.flows.cancel(flow.id, why)).toMatchObject({ kind: "finished" });
  const missing = await world.ledger.flows.cancel("01890000-0000-7000-8000-000000000000", why);
  expect(missing).toEqual({ kind: "missing" });
});

test("a retried flow runs again what failed and what was cancelled for it, and nothing that was done", async () => {
  const flow = await world.ledger.flows.create(
    aFlow({ a: [], b: { after: ["a"], job: { breakers: ["p:op"], maxAttempts: 2 } }, c: ["b"] }),
  );
  await world.end(flow, "a", done(1));
  await world.end(flow, "b", failed);
  expect((await world.flow(flow)).state).toBe("failed");
  const retried = await world.ledger.flows.retry(flow.id);
  expect(retried).toMatchObject({ kind: "retried", nodes: ["b", "c"] });
  expect(await world.states(flow)).toEqual({ a: "succeeded", b: "ready", c: "blocked" });
  const [claimed] = await world.ledger.claim({ workerId: world.workerId, ids: [flow.jobs["b"]!] });
  // all its attempts anew, a fence that never repeats, and what holds it back is not forgotten
  expect(claimed).toMatchObject({ attempt: 2, excused: 1, maxAttempts: 2, breakers: ["p:op"], rare: { linked: true } });
  await world.settle(claimed!, done(2));
  await world.end(flow, "c", done(3));
  expect(await world.flow(flow)).toMatchObject({ state: "succeeded", runs: 2, cause: undefined });
});

test("one failed node can be retried alone; what still comes after another failure is skipped, not stuck", async () => {
  const flow = await world.ledger.flows.create(
    aFlow({
      a: { onFailure: "continue" },
      b: { onFailure: "continue" },
      a2: ["a"],
      b2: ["b"],
      both: ["a2", "b2"],
    }),
  );
  await world.end(flow, "a", failed);
  await world.end(flow, "b", failed);
  expect((await world.flow(flow)).state).toBe("failed");
  expect(await world.ledger.flows.retry(flow.id, ["a"])).toMatchObject({ kind: "retried", nodes: ["a", "a2", "both"] });
  expect(await world.states(flow)).toEqual({ a: "ready", a2: "blocked", b: "failed", b2: "skipped", both: "skipped" });
  await world.end(flow, "a", done());
  await world.end(flow, "a2", done());
  expect((await world.flow(flow)).state).toBe("failed");
  await world.ledger.flows.retry(flow.id);
  await world.end(flow, "b", done());
  await world.end(flow, "b2", done());
  await world.end(flow, "both", done());
  expect((await world.flow(flow)).state).toBe("succeeded");
});

test("a cancelled flow can be retried; one that is under way, succeeded or was undone is refused", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }));
  expect(await world.ledger.flows.retry(flow.id)).toMatchObject({ kind: "refused", code: "FLOW_NOT_RETRIABLE" });
  await world.ledger.flows.cancel(flow.id, { reason: "x", by: "y" });
  expect(await world.ledger.flows.retry(flow.id, ["nope"])).toMatchObject({ code: "FLOW_NODE_UNKNOWN" });
  expect(await world.ledger.flows.retry(flow.id)).toMatchObject({ kind: "retried", nodes: ["a", "b"] });
  await world.end(flow, "a", done());
  await world.end(flow, "b", done());
  expect(await world.ledger.flows.retry(flow.id)).toMatchObject({ kind: "refused", code: "FLOW_NOT_RETRIABLE" });

  const undone = await world.ledger.flows.create(aFlow({ a: { compensation: undo }, b: ["a"] }));
  await world.end(undone, "a", done());
  await world.end(undone, "b", failed);
  await world.undoNext(undone);
  expect((await world.flow(undone)).state).toBe("compensated");
  expect(await world.ledger.flows.retry(undone.id)).toMatchObject({ kind: "refused", code: "FLOW_NOT_RETRIABLE" });
  expect(await world.ledger.flows.retry("01890000-0000-7000-8000-000000000000")).toEqual({ kind: "missing" });
});

test("a flow whose jobs are past retention is not retried by halves", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }));
  await world.end(flow, "a", failed);
  await world.ledger.query(`delete from ${world.ledger.table("jobs_history")} where id = $1`, [flow.jobs["b"]]);
  expect(await world.ledger.flows.retry(flow.id)).toMatchObject({ kind: "refused", code: "FLOW_HISTORY_GONE" });
  expect((await world.flow(flow)).state).toBe("failed");
});

test("a flow under way is not removed; an ended one goes whole", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }));
  const running = await world.claim(flow.jobs["a"]!);
  expect(await world.ledger.flows.remove(flow.id)).toBe("unfinished");
  expect(await world.states(flow)).toEqual({ a: "running", b: "blocked" });
  await world.settle(running, failed);
  expect(await world.ledger.flows.remove(flow.id)).toBe("removed");
  expect(await world.ledger.flows.remove(flow.id)).toBe("missing");
  expect(await world.ledger.findJob(flow.jobs["b"]!)).toBeUndefined();
  for (const table of ["flows", "flow_nodes", "flow_undos"]) {
    const column = table === "flows" ? "id" : "flow_id";
    const { rows } = await world.ledger.query(`select 1 from ${world.ledger.table(table)} where ${column} = $1`, [
      flow.id,
    ]);
    expect(rows).toEqual([]);
  }
});
