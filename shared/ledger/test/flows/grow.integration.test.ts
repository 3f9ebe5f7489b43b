import type { AddedNode, NewNode } from "@warren/ledger";
import { afterAll, beforeAll, expect, test } from "vitest";
import { aFlow, done, type FlowWorld, failed, openFlowWorld } from "./flow-world.ts";

let world: FlowWorld;
beforeAll(async () => {
  world = await openFlowWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

type Claimed = Awaited<ReturnType<FlowWorld["claim"]>>;
type Nodes = Parameters<typeof aFlow>[0];

const nodesOf = (nodes: Nodes): readonly NewNode[] => aFlow(nodes).nodes;
async function add(flow: { readonly id: string }, adder: Claimed, nodes: Nodes): Promise<readonly AddedNode[]> {
  return (await world.ledger.flows.grow({ flowId: flow.id, adder, nodes: nodesOf(nodes) })).nodes;
}
const run = async (id: string, outcome = done()) => void (await world.settle(await world.claim(id), outcome));

test("what comes after a job waits for the children that it adds, also when it completes before them", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }));
  const a = await world.claim(flow.jobs["a"]!);
  const [x, y] = await add(flow, a, { x: [], y: ["x"] });
  expect([x?.state, y?.state]).toEqual(["ready", "blocked"]);
  await world.settle(a, done());
  expect(await world.states(flow)).toEqual({ a: "succeeded", b: "blocked", x: "ready", y: "blocked" });
  await run(x!.id);
  await run(y!.id);
  expect((await world.states(flow))["b"]).toBe("ready");
  await run(flow.jobs["b"]!);
  expect((await world.flow(flow)).state).toBe("succeeded");
});

test("children of children are waited for as well", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }));
  const a = await world.claim(flow.jobs["a"]!);
  const [x] = await add(flow, a, { x: [] });
  await world.settle(a, done());
  const inner = await world.claim(x!.id);
  const [y] = await add(flow, inner, { y: [] });
  await world.settle(inner, done());
  expect((await world.states(flow))["b"]).toBe("blocked");
  await run(y!.id);
  expect((await world.states(flow))["b"]).toBe("ready");
});

test("a parked job leaves its worker, and is ready again when its children are done, with no attempt lost", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [] }));
  const a = await world.claim(flow.jobs["a"]!);
  const [x] = await add(flow, a, { x: [] });
  expect(await world.ledger.flows.park({ flowId: flow.id, adder: a })).toBe("parked");
  expect((await world.states(flow))["a"]).toBe("blocked");
  expect(await world.settle(a, { kind: "snoozed", delayMs: 0 })).toBe("already");
  await run(x!.id, done("result"));
  const again = await world.claim(a.id);
  expect(again.attempt).toBe(2);
  expect(await world.ledger.flows.park({ flowId: flow.id, adder: again })).toBe("none");
  const [child] = await world.ledger.flows.outcomes(flow.id, { childrenOf: a.id });
  expect(child).toMatchObject({ name: "x", state: "succeeded", result: "result" });
  await world.settle(again, done());
  expect((await world.flow(flow)).state).toBe("succeeded");
});

test("a job whose last child ends while it parks is not left behind", async () => {
  for (let round = 0; round < 15; round += 1) {
    const flow = await world.ledger.flows.create(aFlow({ a: [] }));
    const a = await world.claim(flow.jobs["a"]!);
    const [x] = await add(flow, a, { x: [] });
    const child = await world.claim(x!.id);
    const [parked] = await Promise.all([
      world.ledger.flows.park({ flowId: flow.id, adder: a }),
      world.settle(child, done()),
    ]);
    expect((await world.states(flow))["a"]).toBe(parked === "parked" ? "ready" : "running");
  }
});

test("a child that joins a node which ends at this very moment is not left behind", async () => {
  for (let round = 0; round < 15; round += 1) {
    const flow = await world.ledger.flows.create(aFlow({ a: [], x: [] }));
    const a = await world.claim(flow.jobs["a"]!);
    const x = await world.claim(flow.jobs["x"]!);
    const [[child]] = await Promise.all([add(flow, a, { late: ["x"] }), world.settle(x, done())]);
    await world.ledger.flows.sweep({ limit: 10 });
    expect((await world.ledger.findJob(child!.id))?.state).toBe("ready");
  }
});

test("a child that joins a node which has ended starts at once, or is skipped when that has failed", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], good: [], bad: { onFailure: "continue" } }));
  await run(flow.jobs["good"]!);
  await run(flow.jobs["bad"]!, failed);
  const a = await world.claim(flow.jobs["a"]!);
  await add(flow, a, { afterGood: ["good"], afterBad: ["bad"] });
  await world.ledger.flows.sweep({ limit: 10 });
  expect(await world.states(flow)).toMatchObject({ afterGood: "ready", afterBad: "skipped" });
});

test("adding a name again adds nothing; one that has finished counts as done", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [] }));
  const a = await world.claim(flow.jobs["a"]!);
  const [x] = await add(flow, a, { x: [] });
  await run(x!.id);
  expect(await add(flow, a, { x: [] })).toEqual([{ name: "x", id: x!.id, created: false, state: "succeeded" }]);
  expect(await world.ledger.flows.park({ flowId: flow.id, adder: a })).toBe("none");
});

test("a failed child fails the flow of its waiting parent, or only skips it, as its policy says", async () => {
  const fail = await world.ledger.flows.create(aFlow({ a: [], b: ["a"] }));
  const skip = await world.ledger.flows.create(aFlow({ a: [], b: ["a"], other: [] }));
  for (const [flow, onFailure] of [
    [fail, "fail"],
    [skip, "continue"],
  ] as const) {
    const a = await world.claim(flow.jobs["a"]!);
    const [x] = await add(flow, a, { x: { onFailure } });
    const child = await world.claim(x!.id);
    await world.ledger.flows.park({ flowId: flow.id, adder: a });
    await world.settle(child, failed);
  }
  expect(await world.states(fail)).toEqual({ a: "cancelled", b: "cancelled", x: "failed" });
  expect(await world.states(skip)).toEqual({ a: "skipped", b: "skipped", x: "failed", other: "ready" });
});

test("a job that parks after its child has failed is skipped, too, and not blocked for ever", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], other: [] }));
  const a = await world.claim(flow.jobs["a"]!);
  const [x] = await add(flow, a, { x: { onFailure: "continue" } });
  await run(x!.id, failed);
  expect(await world.ledger.flows.park({ flowId: flow.id, adder: a })).toBe("parked");
  expect(await world.states(flow)).toMatchObject({ a: "skipped", other: "ready" });
});

test.for([
  { what: "an unknown node", nodes: { x: ["nope"] }, code: "FLOW_PARENT_UNKNOWN", says: '"nope"' },
  { what: "what waits for the adder", nodes: { x: ["later"] }, code: "FLOW_CYCLE", says: "x → b → later → x" },
] as const)("a child cannot come after $what", async ({ nodes, code, says }) => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: ["a"], later: ["b"] }));
  const a = await world.claim(flow.jobs["a"]!);
  const message = expect.stringContaining(says) as string;
  await expect(add(flow, a, nodes as Nodes)).rejects.toMatchObject({ code, message });
  expect(Object.keys(await world.states(flow))).toEqual(["a", "b", "later"]);
});

test("only the attempt that runs can add, and only while its flow does", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: [] }));
  const a = await world.claim(flow.jobs["a"]!);
  await expect(add(flow, { ...a, attempt: 7 }, { x: [] })).rejects.toMatchObject({ code: "JOB_FENCED" });
  await expect(world.ledger.flows.park({ flowId: flow.id, adder: { ...a, attempt: 7 } })).rejects.toMatchObject({
    code: "JOB_FENCED",
  });
  await run(flow.jobs["b"]!, failed);
  await expect(add(flow, a, { x: [] })).rejects.toMatchObject({ code: "FLOW_NOT_RUNNING" });
  const nowhere = add({ id: "01890000-0000-7000-8000-000000000000" }, a, { x: [] });
  await expect(nowhere).rejects.toMatchObject({ code: "FLOW_NOT_RUNNING" });
});

test("children added in the caller's transaction are there after its commit, and not before", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [] }));
  const a = await world.claim(flow.jobs["a"]!);
  const growth = { flowId: flow.id, adder: a, nodes: nodesOf({ x: [] }) };
  const lost = world.ledger.transaction(async (sql) => {
    await world.ledger.flows.growIn(sql, growth);
    throw new Error("no");
  });
  await expect(lost).rejects.toThrow("no");
  expect(Object.keys(await world.states(flow))).toEqual(["a"]);
  await world.ledger.transaction(async (sql) => {
    await world.ledger.flows.growIn(sql, growth);
    await world.ledger.settleIn(sql, { ...a, outcome: done() });
  });
  expect(await world.states(flow)).toEqual({ a: "succeeded", x: "ready" });
});
