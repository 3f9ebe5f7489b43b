import { newId } from "@warren/ledger";
import { propertyRuns, propertyTimeout } from "@warren/testing/properties";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commands, expectSame, finish, plans, start } from "./commands.ts";
import { type FlowWorld, openFlowWorld } from "./flow-world.ts";

let world: FlowWorld;
beforeAll(async () => {
  world = await openFlowWorld();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

const ends = new Set(["succeeded", "failed", "compensated", "compensation_failed", "cancelled"]);

test("property: whatever happens to a flow, dependencies hold, it ends, and what was done is undone once, in reverse", {
  timeout: propertyTimeout(300_000),
}, async () => {
  const other = await world.world.openAnother();
  const flows = ["flows", "flow_nodes", "flow_edges", "flow_signals", "flow_undos"];
  const tables = ["jobs", "jobs_history", "workers", "bulk_operations", "bulk_targets", ...flows];

  await fc.assert(
    fc.asyncProperty(plans, fc.commands(commands, { maxCommands: 40, size: "max" }), async (plan, sequence) => {
      await world.ledger.query(`truncate ${tables.map(world.ledger.table).join(", ")}`, []);
      const workerId = newId();
      await world.ledger.registerWorker({ id: workerId, host: "m", pid: 1, version: "0", queues: [], concurrency: 1 });
      const { model, real } = await start(plan, { ledgers: [world.ledger, other], workerId });
      await fc.asyncModelRun(() => ({ model, real }), sequence);
      await expectSame(model, real);
      await finish(model, real);
      const flow = (await world.ledger.flows.find(real.flow.id))!;
      expect(ends).toContain(flow.state);
      expect(flow.finishedAt).toBeInstanceOf(Date);
    }),
    { numRuns: propertyRuns(20), endOnFailure: false },
  );
});
