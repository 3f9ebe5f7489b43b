import { openSession } from "@warren/amqp";
import { openLedger } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { createWorld, type World } from "@warren/testing";
import { expect, test } from "vitest";
import { runCommand } from "../src/index.ts";

const log = createLogger({ service: "test", level: "silent" });

/** Runs a command against a world and answers what the shell would see. */
async function run(world: World, ...args: readonly string[]) {
  let stdout = "";
  let stderr = "";
  const exitCode = await runCommand({
    args,
    environment: { AMQP_URL: world.amqpUrl, DATABASE_URL: world.databaseUrl, WARREN_SCHEMA: world.schema },
    isTerminal: false,
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
  });
  return { exitCode, stdout, stderr };
}

test("plan shows what is missing, apply makes it, and plan is content then", async () => {
  await using world = await createWorld();
  const before = await run(world, "topology", "plan", "--queues", "a,b");
  expect(before.exitCode).toBe(3);
  expect(before.stdout).toContain("queue\twarren.jobs.b\tmissing\t");
  const applied = await run(world, "topology", "apply", "-q", "a,b");
  expect(applied).toMatchObject({ exitCode: 0, stderr: "" });
  expect(applied.stdout).toContain("made 13 objects");
  const after = await run(world, "-o", "json", "topology", "plan", "-q", "a,b");
  expect(after.exitCode).toBe(0);
  expect(JSON.parse(after.stdout)).toContainEqual({ object: "queue", name: "warren.jobs.a", status: "ok", detail: "" });
});

test("a queue that differs is shown with the mending command, and migrate mends it", async () => {
  await using world = await createWorld();
  {
    await using session = await openSession({ urls: [world.amqpUrl], name: "t", log });
    await session.connected();
    await session.withConfirmChannel(async (channel) => {
      await channel.assertQueue("warren.jobs.a", { durable: true });
      channel.sendToQueue("warren.jobs.a", Buffer.from("x"), { messageId: "1", persistent: true });
      await channel.waitForConfirms();
    });
  }
  const plan = await run(world, "topology", "plan", "-q", "a");
  expect(plan.exitCode).toBe(3);
  expect(plan.stdout).toContain("npm run warren -- topology migrate warren.jobs.a");
  const refused = await run(world, "topology", "apply", "-q", "a");
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toMatch(/^error AMQP_TOPOLOGY_MISMATCH: [^]*\nfix: /);
  const migrated = await run(world, "topology", "migrate", "a");
  expect(migrated).toMatchObject({ exitCode: 0, stderr: "" });
  expect(migrated.stdout).toContain("migrated: 1 messages moved, 0 duplicates dropped");
  expect((await run(world, "topology", "apply", "-q", "a")).exitCode).toBe(0);
});

test("migrate brings the schema up, status tells, and a job can be shown", async () => {
  await using world = await createWorld();
  expect(await run(world, "migrate", "status")).toMatchObject({ exitCode: 3 });
  expect(await run(world, "migrate")).toMatchObject({ exitCode: 0, stderr: "" });
  expect((await run(world, "migrate", "up")).stdout).toContain("is up to date");
  const status = await run(world, "migrate", "status");
  expect(status.exitCode).toBe(0);
  expect(status.stdout.split("\n")[1]).toMatch(/^1\t/);
  let id = "";
  {
    await using ledger = await openLedger({
      connectionString: world.databaseUrl,
      schema: world.schema,
      log,
      poolSize: 1,
    });
    const job = { queue: "reports", name: "demo", version: 1, payload: { n: 1 }, maxAttempts: 3, maxStalls: 3 };
    const [made] = await ledger.enqueue([{ ...job, correlationId: "c-1", sendBy: "dispatcher" }]);
    id = made?.id ?? "";
  }
  const shown = await run(world, "job", "show", id);
  expect(shown.exitCode).toBe(0);
  expect(shown.stdout).toContain("state\tready");
  expect(shown.stdout).toContain('payload\t{"n":1}');
  const json: unknown = JSON.parse((await run(world, "job", "show", id, "-o", "json")).stdout);
  expect(json).toMatchObject({ id, correlationId: "c-1" });
  expect(await run(world, "job", "show", "01890000-0000-7000-8000-000000000000")).toMatchObject({ exitCode: 4 });
  expect((await run(world, "topology", "plan")).stdout).toContain("warren.jobs.reports\tmissing");
});
