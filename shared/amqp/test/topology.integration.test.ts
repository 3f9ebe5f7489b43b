import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import {
  type AmqpSession,
  holdingQueue,
  jobQueue,
  jobsExchange,
  jobsTopology,
  type MigrationStep,
  migrateQueue,
  openSession,
  planTopology,
  type Queue,
  type Topology,
  type TopologyMismatchError,
} from "../src/index.ts";
import { contents, fill, type Opened, opened, silent } from "./opened.ts";

const declared = jobsTopology({ queues: ["a"] });
const queue = jobQueue("a");

/** The same, with one argument of the job queue changed. */
function changed(argument: string, value: string | number): Topology {
  const change = (item: Queue): Queue =>
    item.name === queue ? { ...item, arguments: { ...item.arguments, [argument]: value } } : item;
  return { ...declared, queues: declared.queues.map(change) };
}

const older = changed("x-delivery-limit", 3);

test("declaring twice is harmless, and the plan then shows nothing to do", async () => {
  await using at = await opened();
  expect(await at.session.declare(declared)).toBe("asserted");
  expect(await at.session.declare(declared)).toBe("asserted");
  const rows = await planTopology(at.session, declared);
  expect(rows.filter(({ status }) => status !== "ok" && status !== "unchecked")).toEqual([]);
  expect(rows).toHaveLength(9);
});

test("the plan shows what is missing and what differs, and makes nothing", async () => {
  await using at = await opened();
  const missing = await planTopology(at.session, declared);
  expect(new Set(missing.map(({ status }) => status))).toEqual(new Set(["missing"]));
  expect(await at.world.management.queues(at.world.vhost)).toEqual([]);
  await at.session.declare(older);
  const rows = await planTopology(at.session, declared);
  expect(rows.filter(({ status }) => status === "drift")).toEqual([
    { object: "queue", name: queue, status: "drift", detail: "x-delivery-limit: declared 20, actual 3" },
  ]);
});

test("a queue of another shape is a fatal mismatch that names the argument and the mending command", async () => {
  await using at = await opened();
  await at.session.declare(older);
  await using other = await openSession({ urls: [at.world.amqpUrl], name: "other", log: silent });
  await expect(other.declare(declared)).rejects.toMatchObject({
    code: "AMQP_TOPOLOGY_MISMATCH",
    retryable: false,
    mismatch: { object: "queue", name: queue, argument: "x-delivery-limit", declared: "20", actual: "3" },
    message: expect.stringContaining(`npm run warren -- topology migrate ${queue}`),
  });
  expect(other.state().topology.kind).toBe("mismatched");
});

test("a mismatch found on reconnect is told once for each connection, and never in a loop", async () => {
  await using at = await opened();
  const told: TopologyMismatchError[] = [];
  let asserted = 0;
  await using other = await openSession({
    urls: [at.world.amqpUrl],
    name: "other",
    log: { ...silent, error: () => void asserted++ },
    onFatal: (error) => told.push(error),
  });
  await other.declare(declared);
  await at.session.withChannel((channel) => channel.deleteQueue(queue));
  await at.session.withChannel((channel) =>
    channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "classic" } }),
  );
  for (const count of [1, 2]) {
    await waitFor(async () => (await at.world.management.connections(at.world.vhost)).length === 4);
    await at.world.management.closeConnections(at.world.vhost);
    await waitFor(() => told.length === count, { what: `mismatch ${count}` });
    await Promise.all([other.connected(), at.session.connected()]);
  }
  // Several more rounds with the broker on the same connection: a loop would have told more by then.
  for (let round = 0; round < 50; round++) await other.depth(queue);
  expect(told).toHaveLength(2);
  expect(asserted).toBe(2);
  expect(told[0]?.mismatch).toMatchObject({ object: "queue", name: queue, actual: "none" });
});

test("what was declared is made again after a reconnect", async () => {
  await using at = await opened();
  await at.session.declare(declared);
  await waitFor(async () => (await at.world.management.connections(at.world.vhost)).length === 2);
  await at.session.withChannel((channel) => channel.deleteQueue(queue));
  await at.world.management.closeConnections(at.world.vhost);
  const depth = await waitFor(() => at.session.depth(queue));
  expect(depth).toEqual({ messages: 0, consumers: 0 });
});

test("declared while the broker is away, it is made when the broker is there", async () => {
  await using at = await opened();
  await using late = await openSession({ urls: ["amqp://127.0.0.1:1", at.world.amqpUrl], name: "late", log: silent });
  expect(await late.declare(declared)).toBe("pending");
  await waitFor(() => late.state().topology.kind === "asserted");
  expect(await late.depth(queue)).toEqual({ messages: 0, consumers: 0 });
});

test("another refusal of the broker is told with its reply", async () => {
  await using at = await opened();
  const reserved: Topology = { exchanges: [], queues: [{ name: "amq.reserved", arguments: {} }], bindings: [] };
  await expect(at.session.declare(reserved)).rejects.toMatchObject({
    code: "AMQP_DECLARE_FAILED",
    message: expect.stringContaining("ACCESS_REFUSED"),
  });
});

test("depth tells messages and consumers, and that a queue is not there", async () => {
  await using at = await opened();
  await at.session.declare(declared);
  await fill(at.session, queue, ["1", "2"]);
  await waitFor(async () => (await at.session.depth(queue))?.messages === 2);
  expect(await at.session.depth("nobody's")).toBeUndefined();
});

const ids = Array.from({ length: 450 }, (_, index) => String(index));

async function outdated(at: Opened): Promise<void> {
  await at.session.withChannel(async (channel) => {
    for (const { name, type, arguments: args } of older.exchanges)
      await channel.assertExchange(name, type, { arguments: args });
    for (const { name, arguments: args } of older.queues) await channel.assertQueue(name, { arguments: args });
    for (const { queue: name, exchange, routingKey } of older.bindings)
      await channel.bindQueue(name, exchange, routingKey);
  });
  await fill(at.session, queue, ids);
}

async function expectMigrated(session: AmqpSession): Promise<void> {
  const rows = await planTopology(session, declared);
  expect(rows.filter(({ status }) => status !== "ok" && status !== "unchecked")).toEqual([]);
  expect(await session.depth(holdingQueue(queue))).toBeUndefined();
  await using publisher = session.publisher();
  await publisher.publish({ exchange: jobsExchange, routingKey: "a", body: Buffer.from("new"), messageId: "new" });
  expect(await contents(session, queue)).toEqual([...ids, "new"]);
}

test("migrating makes the queue as declared and keeps its messages, their order and properties", async () => {
  await using at = await opened();
  await outdated(at);
  const steps: MigrationStep[] = [];
  const options = { session: at.session, topology: declared, queue };
  const result = await migrateQueue({ ...options, onStep: (step) => steps.push(step) });
  expect(result).toEqual({ outcome: "migrated", moved: 450, duplicates: 0 });
  expect(steps).toEqual(["held", "emptied", "deleted", "remade", "refilled"]);
  const first = await at.session.withChannel((channel) => channel.get(queue));
  expect(first).toMatchObject({ content: Buffer.from("0"), properties: { messageId: "0", deliveryMode: 2 } });
  expect(await migrateQueue(options)).toEqual({ outcome: "unchanged", moved: 0, duplicates: 0 });
  await expectMigrated(at.session);
});

test.for(["held", "emptied", "deleted", "remade"] as const)(
  "a migration that died after it had %s resumes, and nothing is lost or doubled",
  async (last) => {
    await using at = await opened();
    await outdated(at);
    const options = { session: at.session, topology: declared, queue };
    const dying = migrateQueue({
      ...options,
      onStep: (step) => {
        if (step === last) throw new Error("killed");
      },
    });
    await expect(dying).rejects.toThrow("killed");
    expect(await migrateQueue(options)).toEqual({ outcome: "migrated", moved: 450, duplicates: 0 });
    await expectMigrated(at.session);
  },
);

test("copies that an earlier death had doubled are dropped by message id", async () => {
  await using at = await opened();
  await outdated(at);
  await fill(at.session, queue, ["7", "8", "9"]);
  const result = await migrateQueue({ session: at.session, topology: declared, queue });
  expect(result).toEqual({ outcome: "migrated", moved: 450, duplicates: 3 });
  await expectMigrated(at.session);
});

test("a queue with consumers is not migrated, and stays as it was", async () => {
  await using at = await opened();
  await outdated(at);
  await using consumer = await at.session.consume({ queue, prefetch: 1, onMessage: () => undefined });
  await consumer.consuming();
  await expect(migrateQueue({ session: at.session, topology: declared, queue })).rejects.toMatchObject({
    code: "AMQP_QUEUE_IN_USE",
  });
  expect(await at.session.depth(holdingQueue(queue))).toBeUndefined();
});

test("a queue that does not exist is made, and one that is not declared is refused", async () => {
  await using at = await opened();
  const options = { session: at.session, topology: declared };
  expect(await migrateQueue({ ...options, queue })).toMatchObject({ outcome: "created" });
  await expect(migrateQueue({ ...options, queue: "nobody's" })).rejects.toMatchObject({ code: "AMQP_OPTION_INVALID" });
});
