import { Socket } from "node:net";
import { createMetrics } from "@warren/observability";
import { startTcpProxy, testServers, waitFor } from "@warren/testing";
import { expect, test, vi } from "vitest";
import { type ConnectionState, openSession } from "../src/index.ts";
import { brokerPort, makeQueue, opened, silent } from "./opened.ts";

test("publishing and consuming have a connection each, and each says whose it is", async () => {
  await using at = await opened({ name: "billing" });
  const names = await waitFor(async () => {
    const list = await at.world.management.request("GET", `/vhosts/${at.world.vhost}/connections`);
    const found = (list as readonly { user_provided_name?: string }[]).map((item) => item.user_provided_name);
    return found.length === 2 && found.every((name) => name !== undefined) ? found : undefined;
  });
  expect([...names].sort()).toEqual(["billing:consume", "billing:publish"]);
});

test("a broker that is down is left out for the next one", async () => {
  await using at = await opened();
  await using session = await openSession({ urls: ["amqp://127.0.0.1:1", at.world.amqpUrl], name: "t", log: silent });
  await session.connected({ signal: AbortSignal.timeout(30_000) });
  expect(session.state()).toMatchObject({ publish: { kind: "connected" }, consume: { kind: "connected" } });
});

test("a session opens while the broker is away, tells why it is not connected, and connects when it is back", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened();
  await proxy.refuse();
  const metrics = createMetrics({ service: "test", version: "0" });
  await using session = await openSession({ urls: [proxy.through(at.world.amqpUrl)], name: "t", log: silent, metrics });
  await waitFor(() => {
    const { publish } = session.state();
    return publish.kind === "connecting" && publish.error?.includes("ECONNREFUSED");
  });
  await expect(session.depth("q")).rejects.toMatchObject({ code: "AMQP_NOT_CONNECTED", retryable: true });
  await expect(session.connected({ signal: AbortSignal.timeout(10) })).rejects.toMatchObject({ name: "TimeoutError" });
  const state = async (kind: string) =>
    await metrics.value("warren_amqp_connection_state", { role: "publish", state: kind });
  expect([await state("connecting"), await state("connected")]).toEqual([1, 0]);
  await proxy.heal();
  await session.connected({ signal: AbortSignal.timeout(30_000) });
  expect([await state("connecting"), await state("connected")]).toEqual([0, 1]);
});

test("every change of state is told, and a listener that left hears no more", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  const kinds: ConnectionState["kind"][] = ["connected"];
  const off = at.session.onChange(({ publish }) => {
    if (kinds.at(-1) !== publish.kind) kinds.push(publish.kind);
  });
  proxy.cut();
  await waitFor(() => kinds.length === 3);
  expect(kinds).toEqual(["connected", "connecting", "connected"]);
  off();
  await at.session[Symbol.asyncDispose]();
  expect(kinds).toEqual(["connected", "connecting", "connected"]);
  expect(at.session.state().publish).toEqual({ kind: "closed" });
});

test("dispose ends within seconds when the peer does not answer, and a second dispose is the same", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await makeQueue(at.session, "q");
  const consumer = await at.session.consume({ queue: "q", prefetch: 1, onMessage: () => undefined });
  const publisher = at.session.publisher();
  await consumer.consuming();
  proxy.blackhole();
  const start = performance.now();
  const depth = at.session.depth("q");
  await consumer.quiet();
  await Promise.all([at.session[Symbol.asyncDispose](), at.session[Symbol.asyncDispose]()]);
  // Heartbeats would take 20 s and more.
  expect(performance.now() - start).toBeLessThan(15_000);
  await expect(depth).rejects.toThrow("Channel ended");
  expect(consumer.state()).toEqual({ kind: "closed" });
  const late = publisher.publish({ exchange: "", routingKey: "q", body: Buffer.from(""), messageId: "1" });
  await expect(late).rejects.toMatchObject({ code: "AMQP_CLOSED" });
  await expect(at.session.depth("q")).rejects.toMatchObject({ code: "AMQP_CLOSED" });
  await proxy.heal();
});

test("Nagle's algorithm is off on both connections: it would hold a small frame back until the last one is acknowledged", async () => {
  const setNoDelay = vi.spyOn(Socket.prototype, "setNoDelay");
  try {
    await using at = await opened();
    expect(at.session.state().publish.kind).toBe("connected");
    const port = brokerPort(at.world.amqpUrl);
    const calls = setNoDelay.mock.calls.filter((_, index) => {
      const socket: unknown = setNoDelay.mock.contexts[index];
      return socket instanceof Socket && socket.remotePort === port;
    });
    expect(calls).toEqual([[true], [true]]);
  } finally {
    setNoDelay.mockRestore();
  }
});

test("the frames of one event-loop turn leave in few system calls", async () => {
  await using at = await opened();
  await makeQueue(at.session, "q");
  const socket = await at.session.withConfirmChannel(
    async (channel) => Reflect.get(channel.connection, "stream") as object,
  );
  let writes = 0;
  for (const name of ["_write", "_writev"] as const) {
    const original = Reflect.get(socket, name) as (...args: unknown[]) => unknown;
    Reflect.set(socket, name, (...args: unknown[]) => {
      writes++;
      return Reflect.apply(original, socket, args);
    });
  }
  await using publisher = at.session.publisher();
  const to = { exchange: "", routingKey: "q" };
  await publisher.publish({ ...to, body: Buffer.from("x"), messageId: "first" });
  writes = 0;
  const ids = Array.from({ length: 500 }, (_, index) => String(index));
  await Promise.all(ids.map((messageId) => publisher.publish({ ...to, body: Buffer.alloc(100), messageId })));
  expect(writes).toBeLessThan(10);
});

test.for([
  { what: "no URL", options: { urls: [] }, says: "urls" },
  { what: "a URL of another protocol", options: { urls: ["http://user:secret@host"] }, says: "urls" },
  { what: "no heartbeats", options: { heartbeatSeconds: 0 }, says: "heartbeatSeconds" },
])("$what is refused with the option's name and without secrets", async ({ options, says }) => {
  const opening = openSession({ urls: ["amqp://localhost"], name: "t", log: silent, ...options });
  await expect(opening).rejects.toMatchObject({ code: "AMQP_OPTION_INVALID", details: { option: says } });
  await expect(opening).rejects.not.toThrow("secret");
});

test("a wrong prefetch or window is refused", async () => {
  await using at = await opened();
  const consuming = at.session.consume({ queue: "q", prefetch: 0, onMessage: () => undefined });
  await expect(consuming).rejects.toMatchObject({ code: "AMQP_OPTION_INVALID" });
  expect(() => at.session.publisher({ maxInFlight: 0 })).toThrow(
    expect.objectContaining({ code: "AMQP_OPTION_INVALID" }),
  );
});
