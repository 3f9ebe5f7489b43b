import { afterAll, beforeAll, expect, test } from "vitest";
import { aFlow, done, type FlowWorld, failed, openFlowWorld, undo } from "./flow-world.ts";

let world: FlowWorld;
beforeAll(async () => {
  world = await openFlowWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const saga = () =>
  world.ledger.flows.create(
    aFlow(
      {
        a: { compensation: undo },
        b: { after: ["a"], compensation: undo },
        plain: ["b"],
        c: { after: ["plain"], compensation: undo },
        d: { after: ["c"], compensation: undo },
      },
      { key: crypto.randomUUID() },
    ),
  );

test("when a flow fails, completed steps are undone in reverse order, each once, with what they were given and gave", async () => {
  const flow = await saga();
  for (const name of ["a", "b", "plain", "c"]) await world.end(flow, name, done({ of: name }));
  await world.end(flow, "d", failed);
  expect(await world.flow(flow)).toMatchObject({ state: "compensating", cause: "failed", failedNode: "d" });
  const first = (await world.ledger.flows.tree(flow.id)).find(({ name }) => name === "c")!.compensation!;
  expect((await world.ledger.findJob(first.jobId!))?.payload).toMatchObject({
    payload: { node: "c" },
    result: { of: "c" },
    flow: {
      id: flow.id,
      name: "test",
      node: "c",
      jobId: flow.jobs["c"],
      cause: "failed",
      reason: "TEST",
      failedNode: "d",
    },
  });
  const order = [await world.undoNext(flow), await world.undoNext(flow), await world.undoNext(flow)];
  expect(order).toEqual(["c", "b", "a"]);
  expect(await world.undoNext(flow)).toBeUndefined();
  expect(await world.flow(flow)).toMatchObject({ state: "compensated", cause: "failed", reason: "TEST" });
  const undos = (await world.ledger.flows.tree(flow.id)).map(({ name, compensation }) => [name, compensation?.state]);
  expect(undos).toEqual([
    ["a", "done"],
    ["b", "done"],
    ["plain", undefined],
    ["c", "done"],
    ["d", "none"],
  ]);
});

test("a cancelled flow is undone, too, and running steps are awaited first", async () => {
  const flow = await saga();
  await world.end(flow, "a", done());
  const running = await world.claim(flow.jobs["b"]!);
  await world.ledger.flows.cancel(flow.id, { reason: "x", by: "y" });
  expect((await world.flow(flow)).state).toBe("stopping");
  await world.settle(running, done());
  expect([await world.undoNext(flow), await world.undoNext(flow)]).toEqual(["b", "a"]);
  expect(await world.flow(flow)).toMatchObject({ state: "compensated", cause: "cancelled" });
});

test("a compensation that fails for good is visible and retriable, and goes on where it stood", async () => {
  const flow = await saga();
  for (const name of ["a", "b", "plain"]) await world.end(flow, name, done());
  await world.end(flow, "c", failed);
  expect(await world.undoNext(flow, failed)).toBe("b");
  expect(await world.flow(flow)).toMatchObject({ state: "compensation_failed", cause: "failed" });
  expect(await world.undoNext(flow)).toBeUndefined();
  expect(await world.ledger.flows.retry(flow.id)).toMatchObject({ kind: "retried", nodes: ["b"] });
  expect(await world.flow(flow)).toMatchObject({ state: "compensating", finishedAt: undefined });
  expect([await world.undoNext(flow), await world.undoNext(flow)]).toEqual(["b", "a"]);
  expect((await world.flow(flow)).state).toBe("compensated");
});

test("a failed compensation whose job is past retention is made anew", async () => {
  const flow = await saga();
  await world.end(flow, "a", done());
  await world.end(flow, "b", failed);
  await world.undoNext(flow, failed);
  const { jobId } = (await world.ledger.flows.tree(flow.id))[0]!.compensation!;
  await world.ledger.query(`delete from ${world.ledger.table("jobs_history")} where id = $1`, [jobId]);
  await world.ledger.flows.retry(flow.id);
  await world.ledger.flows.sweep({ limit: 10 });
  expect(await world.undoNext(flow)).toBe("a");
  expect((await world.flow(flow)).state).toBe("compensated");
});

test("the result of a step, and the payload of its compensation, outlive the history of its job", async () => {
  const flow = await saga();
  await world.end(flow, "a", done("kept"));
  await world.ledger.query(`delete from ${world.ledger.table("jobs_history")} where id = $1`, [flow.jobs["a"]]);
  expect(await world.ledger.flows.outcomes(flow.id, { node: "a" })).toMatchObject([{ result: "kept" }]);
  await world.end(flow, "b", failed);
  const { jobId } = (await world.ledger.flows.tree(flow.id))[0]!.compensation!;
  expect((await world.ledger.findJob(jobId!))?.payload).toMatchObject({ payload: { node: "a" }, result: "kept" });
});

test("numbers that JavaScript cannot hold reach the compensation unchanged", async () => {
  const flow = await saga();
  await world.end(flow, "a", done());
  const exact = "12345678901234567890.5";
  await world.ledger.query(
    `update ${world.ledger.table("flow_nodes")} set payload = $2::text::jsonb where job_id = $1`,
    [flow.jobs["a"], exact],
  );
  await world.end(flow, "b", failed);
  const { jobId } = (await world.ledger.flows.tree(flow.id))[0]!.compensation!;
  const { rows } = await world.ledger.query(
    `select payload ->> 'payload' as kept from ${world.ledger.table("jobs")} where id = $1`,
    [jobId],
  );
  expect(rows[0]?.["kept"]).toBe(exact);
});

test("the end of a flow is told to its last job, whichever end it is", async () => {
  const onFinished = { ...undo, name: "test.finished" };
  const told = async () => {
    const { rows } = await world.ledger.query(
      `select payload from ${world.ledger.table("jobs")} where name = 'test.finished' order by id`,
      [],
    );
    return rows.map((row) => row["payload"]);
  };
  const good = await world.ledger.flows.create(aFlow({ a: [] }, { onFinished, key: "good" }));
  await world.end(good, "a", done());
  const bad = await world.ledger.flows.create(aFlow({ a: [] }, { onFinished }));
  await world.end(bad, "a", failed);
  const empty = await world.ledger.flows.create(aFlow({}, { onFinished }));
  const common = { name: "test", key: null, cause: null, reason: null, failedNode: null };
  expect(await told()).toEqual([
    { ...common, flowId: good.id, key: "good", state: "succeeded" },
    { ...common, flowId: bad.id, state: "failed", cause: "failed", reason: "TEST", failedNode: "a" },
    { ...common, flowId: empty.id, state: "succeeded" },
  ]);
});
