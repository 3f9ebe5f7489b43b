import { afterAll, beforeAll, expect, test } from "vitest";
import { aFlow, type FlowWorld, openFlowWorld } from "./flow-world.ts";

// Counterexamples of the property test, kept.

let world: FlowWorld;
beforeAll(async () => {
  world = await openFlowWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

test("a node that is retried after what it comes after was retried does not start on the failure of before", async () => {
  const flow = await world.ledger.flows.create(aFlow({ a: [], b: { after: ["a"], startOnFailure: true } }));
  await world.ledger.cancel(flow.jobs["b"]!, "test");
  expect(await world.states(flow)).toEqual({ a: "cancelled", b: "cancelled" });
  expect(await world.ledger.flows.retry(flow.id, ["a"])).toMatchObject({ nodes: ["a"] });
  expect(await world.ledger.flows.retry(flow.id, ["b"])).toMatchObject({ nodes: ["b"] });
  expect(await world.states(flow)).toEqual({ a: "ready", b: "blocked" });
});
