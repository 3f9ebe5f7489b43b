import { newId } from "@warren/ledger";
import { propertyRuns, propertyTimeout } from "@warren/testing/properties";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { commands, type Real, register } from "./model/commands.ts";
import type { Model } from "./model/model.ts";
import { openLedgerWorld } from "./support/ledger-world.ts";

test("property: no sequence of calls leaves the state machine, or gives a job to two attempts at once", {
  timeout: propertyTimeout(120_000),
}, async () => {
  await using world = await openLedgerWorld();
  const { ledger } = world;
  const tables = ["jobs", "jobs_history", "job_keys", "workers", "breakers"].map(ledger.table).join(", ");

  const setup = async (): Promise<{ model: Model; real: Real }> => {
    await ledger.query(`truncate ${tables}`, []);
    const workers = [newId(), newId()];
    for (const id of workers) await register(ledger, id);
    return {
      model: { jobs: new Map(), breakers: new Map(), workers, ended: new Set(), claims: [] },
      real: { ledger },
    };
  };

  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: "max" }), async (sequence) => {
      const { model, real } = await setup();
      await fc.asyncModelRun(() => ({ model, real }), sequence);
      // Every job is in exactly one place and state, so what runs is what the model says runs.
      const running = [...model.jobs.values()].filter((job) => job.state === "running");
      const held = (await Promise.all(model.workers.map((id) => ledger.runningOf(id)))).flat();
      expect(held.map(({ id }) => id).sort()).toEqual(running.map(({ id }) => id).sort());
    }),
    { numRuns: propertyRuns(40), endOnFailure: false },
  );
});
