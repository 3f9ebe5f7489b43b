import type { BulkOperation, JobFilter, Ledger, StartedFlow } from "@warren/ledger";
import { waitFor } from "@warren/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aFlow, done, type FlowWorld, failed, openFlowWorld, undo } from "../flows/flow-world.ts";
import { enqueueOne } from "../support/ledger-world.ts";

let world: FlowWorld;
beforeAll(async () => {
  world = await openFlowWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const who = { by: "anna", reason: "mended" };
const error = { code: "TEST", message: "for the test" };
const onFinished = { ...undo, queue: "ends", name: "test.ended" };

/** Two that may fail and a job after both, as a chord; a queue of its own, for filters. */
function aChord(queue: string, nodes: Parameters<typeof aFlow>[0] = {}): ReturnType<typeof aFlow> {
  const job = { queue };
  return aFlow(
    {
      a: { onFailure: "continue", job },
      b: { onFailure: "continue", job },
      last: { after: ["a", "b"], job },
      ...nodes,
    },
    { onFinished },
  );
}

async function deadJob(queue: string): Promise<string> {
  const id = await enqueueOne(world.ledger, { queue });
  await world.ledger.condemn([id], { reason: "TEST", error });
  return id;
}

async function startRetry(filter: JobFilter, rate?: number): Promise<BulkOperation> {
  const { bulk } = world.ledger.control;
  const count = await bulk.count("retry", filter);
  const operation = await bulk.start({ action: "retry", filter, ...who, ...(rate === undefined ? {} : { rate }) });
  expect(operation.matched).toBe(count);
  return operation;
}

async function drain({ control }: Ledger): Promise<void> {
  while ((await control.bulk.step()) !== undefined);
}

async function finish({ id }: BulkOperation): Promise<BulkOperation> {
  await drain(world.ledger);
  return (await world.ledger.control.bulk.find(id))!;
}

/** How the flow ended, each time that it did. */
async function ends({ id }: StartedFlow): Promise<readonly unknown[]> {
  const { rows } = await world.ledger.query(
    `select payload ->> 'state' as state from ${world.ledger.table("jobs")} where queue = 'ends' and payload ->> 'flowId' = $1 order by id`,
    [id],
  );
  return rows.map((row) => row["state"]);
}

/** Waits until that process waits for a lock of somebody else's; its backend. Asks outside of any transaction, which would see the same for ever. */
function waitForLock(applicationName: string): Promise<readonly unknown[]> {
  return waitFor(async () => {
    const { rows } = await world.ledger.query(
      `select pid from pg_stat_activity
       where datname = current_database() and application_name = $1 and wait_event_type = 'Lock'`,
      [applicationName],
    );
    return rows.length > 0 ? rows.map((row) => row["pid"]) : undefined;
  });
}

async function endAll(flow: StartedFlow, ...nodes: readonly string[]): Promise<void> {
  for (const node of nodes) await world.end(flow, node, done());
}

test("a bulk retry takes plain jobs and whole flows, and says why a flow stays as it is", async () => {
  const { ledger } = world;
  const job = { queue: "mixed" };
  const plain = await deadJob("mixed");
  const both = await ledger.flows.create(aChord("mixed"));
  const one = await ledger.flows.create(aFlow({ a: { job }, b: { job }, c: { after: ["a"], job } }, { onFinished }));
  const running = await ledger.flows.create(aChord("mixed"));
  const undone = await ledger.flows.create(
    aFlow({ a: { job, compensation: undo }, b: { after: ["a"], job } }, { onFinished }),
  );
  for (const node of ["a", "b"]) await world.end(both, node, failed);
  await world.end(one, "a", failed);
  await world.end(running, "a", failed);
  await world.end(undone, "a", done());
  await world.end(undone, "b", failed);
  await world.undoNext(undone);
  expect(await world.states(one)).toEqual({ a: "failed", b: "cancelled", c: "cancelled" });

  const operation = await startRetry({ queue: "mixed" });
  expect(operation.matched).toBe(6);
  const later = await ledger.flows.create(aChord("mixed"));
  for (const node of ["a", "b"]) await world.end(later, node, failed);
  expect(await finish(operation)).toMatchObject({ changed: 5, skipped: 1, skips: { flow_not_retriable: 1 } });
  expect(await world.states(both)).toEqual({ a: "ready", b: "ready", last: "blocked" });
  expect(await world.states(one)).toEqual({ a: "ready", b: "ready", c: "blocked" });
  expect(await world.states(running)).toEqual({ a: "ready", b: "ready", last: "blocked" });
  expect((await world.flow(undone)).state).toBe("compensated");
  expect((await world.flow(later)).state).toBe("failed");
  expect((await ledger.findJob(plain))?.state).toBe("ready");

  await endAll(both, "a", "b", "last");
  await endAll(one, "a", "b", "c");
  await endAll(running, "b", "a", "last");
  expect([await ends(both), await ends(one), await ends(running), await ends(undone)]).toEqual([
    ["failed", "succeeded"],
    ["failed", "succeeded"],
    ["succeeded"],
    ["compensated"],
  ]);
});

test("jobs of one flow are retried together, whatever the rate, and one flow at a time", async () => {
  const { ledger } = world;
  const flow = await ledger.flows.create(
    aChord("slow", { a: { compensation: undo, onFailure: "continue", job: { queue: "slow" } } }),
  );
  const between = await deadJob("slow");
  for (const node of ["a", "b"]) await world.end(flow, node, failed);
  const { id } = await startRetry({ queue: "slow" }, 1);
  expect(await ledger.control.bulk.step()).toMatchObject({ jobs: 2 });
  expect(await world.states(flow)).toEqual({ a: "ready", b: "ready", last: "blocked" });
  expect((await ledger.findJob(between))?.state).toBe("dead");
  await ledger.control.bulk.setState(id, "aborted", "anna");

  const flows = [await ledger.flows.create(aChord("many")), await ledger.flows.create(aChord("many"))];
  for (const one of flows) for (const node of ["a", "b"]) await world.end(one, node, failed);
  await deadJob("many");
  const many = await startRetry({ queue: "many" });
  expect(await ledger.control.bulk.step()).toMatchObject({ jobs: 3 });
  expect(await ledger.control.bulk.step()).toMatchObject({ jobs: 2 });
  expect(await ledger.control.bulk.step()).toBeUndefined();
  expect(await ledger.control.bulk.find(many.id)).toMatchObject({ state: "done", changed: 5 });
});

test("a job that has left the states asked for is not brought back", async () => {
  const { ledger } = world;
  const flow = await ledger.flows.create(aChord("moved"));
  const plain = await deadJob("moved");
  for (const node of ["a", "b"]) await world.end(flow, node, failed);
  const operation = await startRetry({ queue: "moved" });
  await ledger.control.retry([plain], {});
  await ledger.control.cancel([plain], who);
  await ledger.flows.retry(flow.id);
  await ledger.flows.cancel(flow.id, who);
  expect(await finish(operation)).toMatchObject({ changed: 0, skips: { state_changed: 3 } });
  expect((await world.flow(flow)).state).toBe("cancelled");
  const cancelled = await startRetry({ queue: "moved", states: ["cancelled"] });
  expect(await finish(cancelled)).toMatchObject({ changed: 4, skipped: 0 });
});

test("a runner killed in the middle of a batch has retried nothing of it; the next one retries each once", async () => {
  const { ledger } = world;
  const flows = await Promise.all(Array.from({ length: 3 }, () => ledger.flows.create(aChord("killed"))));
  for (const flow of flows) for (const node of ["a", "b"]) await world.end(flow, node, failed);
  const plain = await deadJob("killed");
  const operation = await startRetry({ queue: "killed" });
  const doomed = await world.world.openAnother({ poolSize: 1, retries: 0, applicationName: "doomed" });
  // the batch waits for an edge that somebody holds, with the plain job back and the nodes open, and its connection is killed there
  await ledger.transaction(async (run) => {
    await run(`select 1 from ${ledger.table("flow_edges")} for update`, []);
    const failing = doomed.control.bulk.step().catch((failure: unknown) => failure);
    const [pid] = await waitForLock("doomed");
    await ledger.query("select pg_terminate_backend($1)", [pid]);
    expect(await failing).toMatchObject({ code: "LEDGER_UNAVAILABLE" });
  });
  expect(await ledger.control.bulk.find(operation.id)).toMatchObject({ state: "running", changed: 0 });
  for (const flow of flows) expect((await world.flow(flow)).state).toBe("failed");
  expect((await ledger.findJob(plain))?.state).toBe("dead");
  expect(await finish(operation)).toMatchObject({ state: "done", changed: 7, skipped: 0 });
  for (const flow of flows) {
    expect(await world.flow(flow)).toMatchObject({ state: "running", runs: 2 });
    await endAll(flow, "a", "b", "last");
    expect(await ends(flow)).toEqual(["failed", "succeeded"]);
  }
});

test("a sibling that ends while a batch runs neither deadlocks with it nor is lost", async () => {
  const { ledger } = world;
  const other = await world.world.openAnother({ applicationName: "batch" });
  const job = { queue: "meets" };
  const early = { after: ["a", "b"], startOnFailure: true, onFailure: "continue", job } as const;
  const flow = await ledger.flows.create(aChord("meets", { b: { onFailure: "ignore", job }, early }));
  const sibling = await world.claim(flow.jobs["b"]!);
  await world.end(flow, "a", failed);
  await world.end(flow, "early", failed);
  expect(await world.states(flow)).toEqual({ a: "failed", b: "running", last: "skipped", early: "failed" });
  const operation = await startRetry({ queue: "meets" });
  // the settlement holds the edges from the sibling to what the retry opens again
  const { stepping } = await ledger.transaction(async (run) => {
    await ledger.settleIn(run, { ...sibling, workerId: world.workerId, outcome: failed, linked: true });
    const stepping = other.control.bulk.step();
    await waitForLock("batch");
    return { stepping };
  });
  expect(await stepping).toMatchObject({ jobs: 2 });
  expect(await finish(operation)).toMatchObject({ changed: 2, skipped: 0 });
  while ((await ledger.flows.sweep({ limit: 10 })).signals > 0);
  // the sibling has failed, so that what starts on a failure starts; what comes after both waits for the other
  expect(await world.states(flow)).toEqual({ a: "ready", b: "failed", last: "blocked", early: "ready" });
  await endAll(flow, "early", "a", "last");
  expect(await ends(flow)).toEqual(["succeeded"]);
});

test("batches of two operations, single retries and settlements of siblings, all at once: each job comes back once", async () => {
  const { ledger } = world;
  const other = await world.world.openAnother();
  const flows = await Promise.all(Array.from({ length: 6 }, () => ledger.flows.create(aChord("crowd"))));
  const siblings = [];
  for (const flow of flows) {
    siblings.push(await world.claim(flow.jobs["b"]!));
    await world.end(flow, "a", failed);
  }
  const operations = [await startRetry({ queue: "crowd" }), await startRetry({ queue: "crowd" })];
  const [alone] = await Promise.all([
    other.flows.retry(flows[3]!.id, ["a"]),
    drain(ledger),
    drain(other),
    ...siblings.map((sibling) => world.settle(sibling, done())),
  ]);
  const ended = [await finish(operations[0]!), await finish(operations[1]!)];
  expect(ended.reduce((sum, { changed }) => sum + changed, 0)).toBe(alone.kind === "retried" ? 5 : 6);
  while ((await ledger.flows.sweep({ limit: 50 })).signals > 0);
  for (const flow of flows) {
    expect(await world.flow(flow)).toMatchObject({ state: "running", runs: 2 });
    await endAll(flow, "a", "last");
    // where the sibling was faster than the batch, it had failed before
    expect((await ends(flow)).filter((end) => end !== "failed")).toEqual(["succeeded"]);
  }
});

test("a failed compensation goes on by a bulk retry; the nodes of its flow are refused", async () => {
  const { ledger } = world;
  const job = { queue: "undoing" };
  const flow = await ledger.flows.create(
    aFlow({ a: { job, compensation: { ...undo, ...job } }, b: { after: ["a"], job } }),
  );
  await world.end(flow, "a", done());
  await world.end(flow, "b", failed);
  await world.undoNext(flow, failed);
  expect((await world.flow(flow)).state).toBe("compensation_failed");
  const undoJob = (await ledger.flows.tree(flow.id))[0]!.compensation!.jobId!;
  await ledger.control.discard([undoJob], "anna");
  expect(await ledger.flows.retry(flow.id)).toMatchObject({ kind: "refused", code: "FLOW_NODE_DISCARDED" });
  await ledger.control.restore([undoJob], "anna");
  const operation = await startRetry({ queue: "undoing" });
  expect(await finish(operation)).toMatchObject({ changed: 1, skips: { flow_not_retriable: 1 } });
  expect(await world.undoNext(flow)).toBe("a");
  expect((await world.flow(flow)).state).toBe("compensated");
});

test("one job of a flow comes back with other attempts and another payload, for itself alone, also in a transaction", async () => {
  const { ledger } = world;
  const flow = await ledger.flows.create(aChord("edited"));
  for (const node of ["a", "b"]) await world.end(flow, node, failed);
  const a = flow.jobs["a"]!;
  const payload = { json: `{"edited":true}`, form: null, version: 2, attributes: { city: "Riga" } };
  const undone = ledger.transaction(async (run) => {
    expect(await ledger.control.retry([a], {}, run)).toEqual([{ id: a, kind: "retried" }]);
    throw new Error("no");
  });
  await expect(undone).rejects.toThrow("no");
  expect((await world.flow(flow)).state).toBe("failed");
  expect(await ledger.control.retry([a], { attempts: 7, payload })).toEqual([{ id: a, kind: "retried" }]);
  expect(await ledger.findJob(a)).toMatchObject({
    state: "ready",
    maxAttempts: 7,
    payload: { edited: true },
    version: 2,
    attributes: { city: "Riga" },
  });
  expect(await ledger.findJob(flow.jobs["last"]!)).toMatchObject({ maxAttempts: 5, payload: { node: "last" } });
  await ledger.flows.retry(flow.id, ["b"]);
  await endAll(flow, "a", "b", "last");
  expect((await world.flow(flow)).state).toBe("succeeded");
});

test("a discarded job of a flow is not run again by any retry until it is restored", async () => {
  const { ledger } = world;
  const job = { queue: "aside" };
  const flow = await ledger.flows.create(aFlow({ a: { job }, b: { job }, c: { after: ["a"], job } }));
  await world.end(flow, "a", failed);
  const { a, b } = flow.jobs as { a: string; b: string };
  await finish(
    await ledger.control.bulk.start({ action: "discard", filter: { queue: "aside", states: ["cancelled"] }, ...who }),
  );
  expect(await ledger.control.retry([b], {})).toEqual([{ id: b, kind: "discarded" }]);
  expect(await ledger.flows.retry(flow.id)).toMatchObject({ kind: "refused", code: "FLOW_NODE_DISCARDED" });
  expect(await finish(await startRetry({ queue: "aside" }))).toMatchObject({
    changed: 0,
    skips: { flow_node_discarded: 1 },
  });
  expect((await world.flow(flow)).state).toBe("failed");
  await finish(await ledger.control.bulk.start({ action: "restore", filter: { queue: "aside" }, ...who }));
  expect(await finish(await startRetry({ queue: "aside" }))).toMatchObject({ changed: 1, skipped: 0 });
  expect(await world.states(flow)).toEqual({ a: "ready", b: "ready", c: "blocked" });
  expect((await ledger.findJob(a))?.state).toBe("ready");
});

test("a retry that meets a discard, or the end of retention, waits for it and is refused", async () => {
  const { ledger } = world;
  const other = await world.world.openAnother({ applicationName: "late" });
  const history = ledger.table("jobs_history");
  for (const [change, code] of [
    [`update ${history} set discarded_at = now() where id = $1`, "FLOW_NODE_DISCARDED"],
    [`delete from ${history} where id = $1`, "FLOW_HISTORY_GONE"],
  ] as const) {
    const flow = await ledger.flows.create(aFlow({ a: [], b: ["a"] }));
    await world.end(flow, "a", failed);
    const { retrying } = await ledger.transaction(async (run) => {
      await run(change, [flow.jobs["b"]]);
      const retrying = other.control.retry([flow.jobs["a"]!], {});
      await waitForLock("late");
      return { retrying };
    });
    expect(await retrying).toMatchObject([{ kind: "flow_refused", refusal: { code } }]);
    expect((await world.flow(flow)).state).toBe("failed");
  }
});

test("a job that could only be skipped again is refused, and those beside it come back", async () => {
  const { ledger } = world;
  const job = { queue: "skipped" };
  const flow = await ledger.flows.create(
    aFlow({ a: { job }, b: { job }, c: { after: ["a"], job }, d: { after: ["c"], job } }),
  );
  await world.end(flow, "a", failed);
  const c = flow.jobs["c"]!;
  expect(await ledger.flows.retry(flow.id, ["d"])).toMatchObject({ kind: "refused", code: "FLOW_PARENT_FAILED" });
  expect(await ledger.control.retry([c], {})).toMatchObject([
    { id: c, kind: "flow_refused", flowId: flow.id, refusal: { code: "FLOW_PARENT_FAILED" } },
  ]);
  expect(await world.flow(flow)).toMatchObject({ state: "failed", runs: 1 });
  const operation = await startRetry({ queue: "skipped", states: ["cancelled"] });
  expect(await finish(operation)).toMatchObject({ matched: 3, changed: 1, skips: { flow_parent_failed: 2 } });
  expect(await world.states(flow)).toEqual({ a: "failed", b: "ready", c: "skipped", d: "skipped" });
});

test("a job whose flow was forgotten before it says so", async () => {
  const { ledger } = world;
  const flow = await ledger.flows.create(aFlow({ a: [] }));
  await world.end(flow, "a", failed);
  for (const table of ["flows", "flow_nodes"]) {
    await ledger.query(`delete from ${ledger.table(table)} where ${table === "flows" ? "id" : "flow_id"} = $1`, [
      flow.id,
    ]);
  }
  const id = flow.jobs["a"]!;
  expect(await ledger.control.retry([id], {})).toMatchObject([
    { id, kind: "flow_refused", flowId: flow.id, refusal: { code: "FLOW_NOT_FOUND" } },
  ]);
});
