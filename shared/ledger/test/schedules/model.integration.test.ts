import { propertyRuns, propertyTimeout } from "@warren/testing/properties";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createFollowUps } from "../../src/follow-ups.ts";
import { newId } from "../../src/new-id.ts";
import { retrying } from "../../src/postgres/retrying.ts";
import { createSchedules } from "../../src/schedules/schedules.ts";
import { openLedgerWorld } from "../support/ledger-world.ts";
import { commands, instant, type Real } from "./commands.ts";
import type { Model } from "./model.ts";

test("property: whatever happens in whatever order, schedules make the jobs that the model says, each once", {
  timeout: propertyTimeout(180_000),
}, async () => {
  await using world = await openLedgerWorld();
  const { ledger } = world;
  const tables = ["jobs", "jobs_history", "job_keys", "schedules"].map(ledger.table).join(", ");
  const clock = { now: instant(0) };
  const schedules = createSchedules({
    database: ledger,
    table: ledger.table,
    newId,
    enqueueIn: (run, jobs) => ledger.enqueueIn(run, jobs),
    followUps: createFollowUps([], (error) => expect(error).toBeUndefined()),
    ...retrying({ retries: 2, delayMs: 10 }),
    clock: () => clock.now,
  });
  const workerId = await world.worker();

  const setup = async (): Promise<{ model: Model; real: Real }> => {
    await ledger.query(`truncate ${tables}`, []);
    clock.now = instant(0);
    return { model: { now: 0, schedules: new Map(), jobs: [] }, real: { ledger, schedules, workerId, clock } };
  };

  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 40, size: "max" }), async (sequence) => {
      const { model, real } = await setup();
      await fc.asyncModelRun(() => ({ model, real }), sequence);
    }),
    { numRuns: propertyRuns(20) },
  );
});
