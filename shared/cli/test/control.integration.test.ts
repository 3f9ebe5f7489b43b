import { migrate, openLedger } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { createWorld, type World } from "@warren/testing";
import { expect, test } from "vitest";
import { databaseOf, shell } from "./shell.ts";

const log = createLogger({ service: "test", level: "silent" });

const run = (world: World, ...args: readonly string[]) => shell({ environment: databaseOf(world) }, args);

test("jobs are listed, cancelled, retried, discarded and taken back, and many are cancelled at once", async () => {
  await using world = await createWorld();
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
  await using ledger = await openLedger({
    connectionString: world.databaseUrl,
    schema: world.schema,
    log,
    poolSize: 2,
  });
  const base = {
    queue: "reports",
    name: "demo",
    version: 1,
    payload: 1,
    maxAttempts: 3,
    maxStalls: 3,
    correlationId: "c",
  };
  const made = await ledger.enqueue(Array.from({ length: 3 }, () => ({ ...base, sendBy: "dispatcher" as const })));
  const [id = "", other = ""] = made.map((job) => job.id);

  expect((await run(world, "job", "list", "-q", "reports")).stdout.split("\n")).toHaveLength(5);
  const cancelled = await run(world, "job", "cancel", id, "--reason", "a test", "--by", "anna");
  expect(cancelled).toMatchObject({ exitCode: 0, stdout: `job ${id} is cancelled\n` });
  expect((await run(world, "job", "list", "-s", "cancelled")).stdout).toContain(
    `${id}\treports\tdemo\tcancelled\t0\ta test`,
  );
  expect((await run(world, "job", "discard", id)).exitCode).toBe(0);
  expect(await run(world, "job", "retry", id)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("JOB_DISCARDED"),
  });
  expect((await run(world, "job", "restore", id)).exitCode).toBe(0);
  expect((await run(world, "job", "retry", id, "--attempts", "5")).exitCode).toBe(0);
  expect(await ledger.findJob(id)).toMatchObject({ state: "ready", maxAttempts: 5 });

  await ledger.condemn([other], { reason: "TEST", error: { code: "TEST", message: "x" } });
  expect((await run(world, "dead", "list")).stdout).toContain(`${other}\treports\tdemo\tdead`);
  expect((await run(world, "dead", "retry", other)).exitCode).toBe(0);

  const dry = await run(world, "bulk", "cancel", "-q", "reports", "--why", "tidy", "--dry-run");
  expect(dry.stdout).toBe("3 jobs match; nothing is changed\n");
  expect((await run(world, "bulk", "cancel", "-q", "reports", "--why", "tidy", "--by", "anna")).stdout).toContain(
    "3 jobs",
  );
  const [operation] = JSON.parse((await run(world, "-o", "json", "bulk", "list")).stdout) as { id: string }[];
  expect((await run(world, "bulk", "pause", operation!.id)).stdout).toContain("paused");
  expect((await run(world, "bulk", "resume", operation!.id)).stdout).toContain("running");
  await ledger.control.bulk.step();
  expect((await run(world, "bulk", "list")).stdout).toContain("\tcancel\tdone\tanna\ttidy\t3\t3\t0");
  expect(await run(world, "bulk", "abort", operation!.id)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("BULK_FINISHED"),
  });

  await ledger.control.progress.addLines([{ id, attempt: 1, line: 0, at: new Date(0), text: "hello" }]);
  expect((await run(world, "job", "logs", id)).stdout).toBe("1970-01-01T00:00:00.000Z 1 hello\n");
  expect(await run(world, "job", "wait", id)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("JOB_CANCELLED"),
  });
});

test.for([
  { what: "a cancel without a reason", args: ["job", "cancel", "x"], exitCode: 2 },
  { what: "an id that is none", args: ["job", "retry", "42"], exitCode: 2 },
  { what: "an unknown job", args: ["job", "wait", "01890000-0000-7000-8000-000000000000"], exitCode: 4 },
  { what: "a state that is none", args: ["job", "list", "-s", "done"], exitCode: 2 },
  { what: "a bulk operation on everything", args: ["bulk", "cancel", "--why", "x"], exitCode: 2 },
])("$what is refused", async ({ args, exitCode }) => {
  await using world = await createWorld();
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
  expect((await run(world, ...args)).exitCode).toBe(exitCode);
});
