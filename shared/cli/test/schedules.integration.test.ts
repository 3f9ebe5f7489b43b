import { migrate, openLedger } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { createWorld, type World } from "@warren/testing";
import { expect, test } from "vitest";
import { databaseOf, shell } from "./shell.ts";

const log = createLogger({ service: "test", level: "silent" });

const run = (world: World, ...args: readonly string[]) =>
  shell({ environment: databaseOf(world) }, ["schedule", ...args]);

test("schedules are listed, shown, previewed, paused, resumed, triggered and deleted", async () => {
  await using world = await createWorld();
  const { databaseUrl: connectionString, schema } = world;
  await migrate({ connectionString, schema, log });
  const job = { queue: "default", name: "report", version: 1, payload: { n: 1 }, maxAttempts: 1, maxStalls: 1 };
  const rules = { timeZone: "Europe/Berlin", misfire: "once", overlap: "skip" } as const;
  const start = new Date("2099-03-28T12:00:00Z");
  {
    await using ledger = await openLedger({ connectionString, schema, log, poolSize: 1 });
    const nightly = { name: "nightly", job, when: "30 2 * * *", start, ...rules };
    await ledger.schedules.register({ service: "reports", schedules: [nightly, { ...nightly, name: "old" }] });
    await ledger.schedules.register({ service: "reports", schedules: [nightly] });
  }
  const list = await run(world, "list");
  expect(list).toMatchObject({ exitCode: 0, stderr: "" });
  expect(list.stdout).toContain("nightly\t30 2 * * *\tEurope/Berlin\treport\tactive\t2099-03-29T01:00:00.000Z");
  expect(list.stdout).toContain("old\t30 2 * * *\tEurope/Berlin\treport\tactive, orphan\t");
  expect((await run(world, "show", "nightly")).stdout).toContain("job name\treport");
  expect((await run(world, "preview", "nightly", "-n", "2")).stdout).toBe(
    "2099-03-29T01:00:00.000Z\n2099-03-30T00:30:00.000Z\n",
  );
  expect((await run(world, "pause", "nightly", "--by", "anna")).stdout).toContain("is paused");
  expect((await run(world, "show", "nightly")).stdout).toMatch(/state\tpaused[^]*pausedBy\tanna/);
  expect((await run(world, "resume", "nightly")).stdout).toContain("next at 2099-03-29T01:00:00.000Z");
  const triggered = await run(world, "trigger", "nightly");
  expect(triggered.stdout).toMatch(/^job [0-9a-f-]{36} is made/);
  expect((await run(world, "show", "nightly")).stdout).toContain(`lastJobId\t${triggered.stdout.slice(4, 40)}`);
  expect(await run(world, "delete", "old")).toMatchObject({ exitCode: 0 });
  expect(await run(world, "delete", "old")).toMatchObject({ exitCode: 4 });
  expect(await run(world, "show", "old")).toMatchObject({ exitCode: 4 });
  const unknown = await run(world, "pause", "old");
  expect(unknown.exitCode).toBe(4);
  expect(unknown.stderr).toMatch(/^error SCHEDULE_UNKNOWN: .*\nfix: /);
});

test("a rhythm is previewed without a database, and a wrong one says what is wrong", async () => {
  const nowhere = { databaseUrl: "postgres://127.0.0.1:1/none", schema: "none" } as World;
  const right = await run(nowhere, "preview", "every 10 minutes", "--zone", "UTC", "-n", "1");
  expect(right).toMatchObject({ exitCode: 0, stderr: "" });
  expect(right.stdout).toMatch(/T\d\d:\d0:00\.000Z\n$/);
  expect((await run(nowhere, "preview", "every 10 minutes", "-n", "1")).stdout).toMatch(/T\d\d:\d0:00\.000Z\n$/);
  const wrong = await run(nowhere, "preview", "0 25 * * *");
  expect(wrong.exitCode).toBe(2);
  expect(wrong.stderr).toMatch(/^error SCHEDULE_WHEN_INVALID: .*hour: "25"/);
  expect(await run(nowhere, "preview", "@daily", "--zone", "UTC", "-n", "0")).toMatchObject({ exitCode: 2 });
});
