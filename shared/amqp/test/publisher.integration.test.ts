import { startTcpProxy, testServers, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { jobQueue, jobsExchange, jobsTopology, type PublishError, unroutableQueue } from "../src/index.ts";
import { brokerPort, contents, makeQueue, opened } from "./opened.ts";

const body = Buffer.from("{}");

test("a publish resolves when the message is stored in its queue", async () => {
  await using at = await opened();
  await at.session.declare(jobsTopology({ queues: ["a"] }));
  await using publisher = at.session.publisher();
  await publisher.publish({ exchange: jobsExchange, routingKey: "a", body, messageId: "1" });
  expect(await contents(at.session, jobQueue("a"))).toEqual(["1"]);
  expect(await at.metrics.value("warren_amqp_confirmed_total")).toBe(1);
});

test("a message that no queue takes is refused as unroutable, and its neighbours are not", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await using publisher = at.session.publisher();
  const results = await Promise.allSettled(
    ["q", "nobody", "q", "nobody-else"].map((routingKey, index) =>
      publisher.publish({ exchange: "", routingKey, body, messageId: String(index) }),
    ),
  );
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "rejected"]);
  expect(results[1]).toMatchObject({ reason: { code: "AMQP_UNROUTABLE", details: { routingKey: "nobody" } } });
  expect(await at.metrics.value("warren_amqp_returned_total")).toBe(2);
});

test("two messages with one id and different routing are told apart", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await using publisher = at.session.publisher();
  const results = await Promise.allSettled(
    ["nobody", "q"].map((routingKey) => publisher.publish({ exchange: "", routingKey, body, messageId: "same" })),
  );
  expect(results.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
});

test("a job for a queue that nobody declared is parked, not lost", async () => {
  await using at = await opened();
  await at.session.declare(jobsTopology({ queues: [] }));
  await using publisher = at.session.publisher();
  await publisher.publish({ exchange: jobsExchange, routingKey: "unknown", body, messageId: "1" });
  expect(await contents(at.session, unroutableQueue)).toEqual(["1"]);
});

test("a missing exchange fails its own messages and none of the others, on the same connection", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await using publisher = at.session.publisher();
  const before = at.session.state().publish;
  const results = await Promise.allSettled([
    publisher.publish({ exchange: "", routingKey: "q", body, messageId: "1" }),
    publisher.publish({ exchange: "missing", routingKey: "q", body, messageId: "2" }),
    publisher.publish({ exchange: "", routingKey: "q", body, messageId: "3" }),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(results[1]).toMatchObject({ reason: { code: "AMQP_UNROUTABLE" } });
  expect(new Set(await contents(at.session, "q"))).toEqual(new Set(["1", "3"]));
  expect(at.session.state().publish).toEqual(before);
});

test("an exchange of the declared topology that somebody deleted is made again, and the message arrives", async () => {
  await using at = await opened();
  await at.session.declare(jobsTopology({ queues: ["a"] }));
  await using publisher = at.session.publisher();
  await at.session.withChannel((channel) => channel.deleteExchange(jobsExchange));
  await publisher.publish({ exchange: jobsExchange, routingKey: "a", body, messageId: "1" });
  expect(await contents(at.session, jobQueue("a"))).toEqual(["1"]);
});

test("what cannot be written fails alone", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await using publisher = at.session.publisher({ maxBodyBytes: 1_000 });
  const to = { exchange: "", routingKey: "q" };
  const results = await Promise.allSettled([
    publisher.publish({ ...to, body: Buffer.alloc(1_001), messageId: "large" }),
    publisher.publish({ ...to, body, messageId: "headers", headers: { big: "x".repeat(70_000) } }),
    publisher.publish({ ...to, body, messageId: "good" }),
  ]);
  expect(
    results.map((result) => (result.status === "rejected" ? (result.reason as PublishError).code : "stored")),
  ).toEqual(["AMQP_MESSAGE_INVALID", "AMQP_MESSAGE_INVALID", "stored"]);
});

test("no more than the window is ever in flight, and all of it arrives in order", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await makeQueue(at.session, "q");
  await using publisher = at.session.publisher({ maxInFlight: 10 });
  await publisher.publish({ exchange: "", routingKey: "q", body, messageId: "first" });
  proxy.blackhole();
  const ids = Array.from({ length: 50 }, (_, index) => String(index));
  const all = ids.map((messageId) => publisher.publish({ exchange: "", routingKey: "q", body, messageId }));
  await waitFor(async () => (await at.metrics.value("warren_amqp_in_flight")) === 10);
  expect(publisher.unsettled).toBe(50);
  await proxy.heal();
  await Promise.all(all);
  expect(await at.metrics.value("warren_amqp_in_flight")).toBe(0);
  expect(await contents(at.session, "q")).toEqual(["first", ...ids]);
});

test("a deadline that passes without a confirm fails the publish with the reason, and others go on", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await makeQueue(at.session, "q");
  await using publisher = at.session.publisher();
  await publisher.publish({ exchange: "", routingKey: "q", body, messageId: "0" });
  proxy.blackhole();
  const to = { exchange: "", routingKey: "q", body };
  const patient = publisher.publish({ ...to, messageId: "patient" });
  await expect(publisher.publish({ ...to, messageId: "hasty", deadlineMs: 100 })).rejects.toMatchObject({
    code: "AMQP_PUBLISH_TIMEOUT",
    retryable: true,
    message: expect.stringContaining("did not confirm"),
  });
  await proxy.heal();
  await patient;
});

test("what a lost connection left unconfirmed is published again under the same id", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await makeQueue(at.session, "q");
  await using publisher = at.session.publisher();
  await publisher.publish({ exchange: "", routingKey: "q", body, messageId: "0" });
  proxy.blackhole();
  const ids = Array.from({ length: 20 }, (_, index) => String(index + 1));
  const all = ids.map((messageId) => publisher.publish({ exchange: "", routingKey: "q", body, messageId }));
  await waitFor(async () => (await at.metrics.value("warren_amqp_in_flight")) === 20);
  await proxy.refuse();
  await waitFor(() => at.session.state().publish.kind === "connecting");
  await proxy.heal();
  await Promise.all(all);
  await at.session.connected();
  expect(await contents(at.session, "q")).toEqual(["0", ...ids]);
  expect(await at.metrics.value("warren_amqp_republished_total")).toBe(20);
});

test("a publish made while the broker is away waits for it", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await makeQueue(at.session, "q");
  await using publisher = at.session.publisher();
  await proxy.refuse();
  await waitFor(() => at.session.state().publish.kind === "connecting");
  const waiting = publisher.publish({ exchange: "", routingKey: "q", body, messageId: "1" });
  await proxy.heal();
  await waiting;
  expect(publisher.unsettled).toBe(0);
});

test("quiet refuses, drain waits for the rest, and dispose lets nobody hang", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await makeQueue(at.session, "q");
  const publisher = at.session.publisher();
  const to = { exchange: "", routingKey: "q", body };
  await publisher.publish({ ...to, messageId: "0" });
  proxy.blackhole();
  const open = publisher.publish({ ...to, messageId: "1" });
  publisher.quiet();
  await expect(publisher.publish({ ...to, messageId: "2" })).rejects.toMatchObject({ code: "AMQP_CLOSED" });
  expect(await publisher.drain(AbortSignal.timeout(50))).toBe(false);
  await proxy.heal();
  expect(await publisher.drain(AbortSignal.timeout(30_000))).toBe(true);
  await open;
  const late = at.session.publisher();
  proxy.blackhole();
  const hanging = late.publish({ ...to, messageId: "3" });
  await proxy.heal();
  const [refused] = await Promise.allSettled([hanging, late[Symbol.asyncDispose](), late[Symbol.asyncDispose]()]);
  expect(refused).toMatchObject({ status: "rejected", reason: { code: "AMQP_CLOSED" } });
  await publisher[Symbol.asyncDispose]();
  expect(publisher.unsettled + late.unsettled).toBe(0);
});

test("publishing strips x-death, which RabbitMQ up to 3.13 would take for a cycle", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  await using publisher = at.session.publisher();
  const headers = {
    "x-death": [{ queue: "q", reason: "rejected", count: 1 }],
    "x-first-death-queue": "q",
    kept: "yes",
  };
  await publisher.publish({ exchange: "", routingKey: "q", body, messageId: "1", headers });
  const stored = await at.session.withChannel((channel) => channel.get("q", { noAck: true }));
  const received: Record<string, unknown> = stored === false ? {} : { ...stored.properties.headers };
  expect(received).toMatchObject({ kept: "yes", "x-warren-death": headers["x-death"] });
  expect(received).not.toHaveProperty("x-death");
  expect(received).not.toHaveProperty("x-first-death-queue");
});
