import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSession } from "@warren/amqp";
import { openLedger } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { createWorld, type World } from "@warren/testing";
import { expect, test } from "vitest";
import { databaseOf, shell } from "./shell.ts";

const log = createLogger({ service: "test", level: "silent" });

const run = (world: World, ...args: readonly string[]) =>
  shell({ environment: { ...databaseOf(world), AMQP_URL: world.amqpUrl } }, args);

test("plan shows what is missing, apply makes it, and plan is content then", async () => {
  await using world = await createWorld({ database: "empty" });
  const before = await run(world, "topology", "plan", "--queues", "a,b");
  expect(before.exitCode).toBe(3);
  expect(before.stdout).toContain("queue\twarren.jobs.b\tmissing\t");
  const applied = await run(world, "topology", "apply", "-q", "a,b");
  expect(applied).toMatchObject({ exitCode: 0, stderr: "" });
  expect(applied.stdout).toContain("made 19 objects");
  const after = await run(world, "-o", "json", "topology", "plan", "-q", "a,b");
  expect(after.exitCode).toBe(0);
  expect(JSON.parse(after.stdout)).toContainEqual({ object: "queue", name: "warren.jobs.a", status: "ok", detail: "" });
});

test("a queue that differs is shown with the mending command, and migrate mends it", async () => {
  await using world = await createWorld({ database: "empty" });
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
  await using world = await createWorld({ database: "empty" });
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

test("dead events are listed, counted, and replayed with edited data to the subscription that gave up on them", async () => {
  await using world = await createWorld({ database: "empty" });
  await run(world, "migrate");
  const queue = "warren.events.billing.invoices";
  {
    await using session = await openSession({ urls: [world.amqpUrl], name: "t", log });
    await session.connected();
    await session.withChannel((channel) => channel.assertQueue(queue, { arguments: { "x-queue-type": "quorum" } }));
    const { databaseUrl: connectionString, schema } = world;
    await using ledger = await openLedger({ connectionString, schema, log, poolSize: 1 });
    const letter = { queue, reason: "EVENT_ATTEMPTS_EXHAUSTED", body: Buffer.from('{"n":1}'), jobIds: [] };
    for (const id of ["e-1", "e-2"]) {
      const event = { subscription: "billing.invoices", id, type: "orders.created", correlationId: undefined };
      await ledger.recordDeadLetter({
        ...letter,
        messageId: id,
        headers: { "x-warren-error": "EVENT_FAILED: boom" },
        event,
      });
    }
  }
  const listed = await run(world, "-o", "json", "events", "dead", "-s", "billing.invoices");
  const letters = JSON.parse(listed.stdout) as { id: string; eventId: string; body: string }[];
  expect(letters).toMatchObject([{ eventId: "e-2", body: '{"n":1}' }, { eventId: "e-1" }]);
  expect((await run(world, "events", "dead", "-r", "EVENT_ATTEMPTS_EXHAUSTED")).stdout).toContain("EVENT_FAILED: boom");
  const counted = await run(world, "events", "replay", "-s", "billing.invoices", "--dry-run");
  expect(counted).toMatchObject({ exitCode: 0, stdout: "2 dead events of billing.invoices would be replayed\n" });
  const folder = await mkdtemp(join(tmpdir(), "warren-cli-"));
  await writeFile(join(folder, "data.json"), '{"n":2}');
  const what = ["-s", "billing.invoices", "-i", letters[1]?.id ?? "", "-d", join(folder, "data.json")];
  const one = await run(world, "events", "replay", ...what);
  await rm(folder, { recursive: true });
  expect(one).toMatchObject({ exitCode: 0, stdout: "1 of 1 dead events replayed to billing.invoices\n", stderr: "" });
  {
    await using session = await openSession({ urls: [world.amqpUrl], name: "t", log });
    await session.connected();
    const message = await session.withChannel((channel) => channel.get(queue, { noAck: true }));
    expect(message === false ? "" : message.content.toString()).toBe('{"n":2}');
  }
  expect(await run(world, "events", "replay", "-s", "billing.other")).toMatchObject({ exitCode: 4 });
  expect(await run(world, "events", "replay", "-s", "billing.invoices", "-d", "x.json")).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining("name it with --id"),
  });
  expect(await run(world, "events", "replay", "-s", "billing.invoices", "--rate", "fast")).toMatchObject({
    exitCode: 2,
  });
});

test("the queue of a subscription is migrated with its patterns named", async () => {
  await using world = await createWorld({ database: "empty" });
  const queue = "warren.events.billing.invoices";
  {
    await using session = await openSession({ urls: [world.amqpUrl], name: "t", log });
    await session.connected();
    await session.withConfirmChannel(async (channel) => {
      await channel.assertQueue(queue, { durable: true });
      channel.sendToQueue(queue, Buffer.from("x"), { messageId: "1", persistent: true });
      await channel.waitForConfirms();
    });
  }
  const unnamed = await run(world, "topology", "migrate", queue);
  expect(unnamed).toMatchObject({ exitCode: 2, stderr: expect.stringContaining("--patterns") });
  const migrated = await run(world, "topology", "migrate", queue, "-p", "orders.*");
  expect(migrated).toMatchObject({ exitCode: 0, stderr: "" });
  expect(migrated.stdout).toContain("migrated: 1 messages moved");
});

test("limits are set, shown, paused and cleared, and a wrong one tells what was expected", async () => {
  await using world = await createWorld({ database: "empty" });
  await run(world, "migrate");
  expect((await run(world, "limits")).stdout).toContain("no queue is limited or paused");
  const set = await run(world, "limits", "set", "mails", "-c", "5", "-r", "10/m", "-b", "1", "--order", "strict");
  expect(set).toMatchObject({ exitCode: 0, stderr: "" });
  await run(world, "limits", "set", "mails", "--key", "acme", "-c", "2");
  await run(world, "limits", "pause", "mails", "--job", "mail.send");
  await run(world, "limits", "pause", "mails");
  const listed = (await run(world, "limits", "list")).stdout;
  expect(listed).toContain(
    "mails\tconcurrency 5, rate 10/m burst 1, order strict\tqueue, job mail.send\tacme concurrency 2",
  );
  await run(world, "limits", "set", "mails", "-r", "none");
  await run(world, "limits", "resume", "mails");
  await run(world, "limits", "clear", "mails");
  expect((await run(world, "limits")).stdout).toContain("mails\t\tjob mail.send\t");
  await run(world, "limits", "resume", "mails", "-j", "mail.send");
  expect(JSON.parse((await run(world, "limits", "--json")).stdout)).toEqual([]);

  const wrong = await run(world, "limits", "set", "mails", "-r", "10/x");
  expect(wrong.exitCode).toBe(2);
  expect(wrong.stderr).toMatch(/^error JOB_OPTION_INVALID: .*expected a rate such as "10\/m"[^]*fix: /);
  expect((await run(world, "limits", "set", "mails", "-c", "many")).stderr).toContain("JOB_OPTION_INVALID");
});
