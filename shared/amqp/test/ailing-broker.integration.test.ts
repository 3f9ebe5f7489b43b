import { createMetrics } from "@warren/observability";
import { type Broker, startPrivateBroker, waitFor } from "@warren/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSession } from "../src/index.ts";
import { contents, fill, makeQueue, silent } from "./opened.ts";

let broker: Broker;

beforeAll(async () => {
  broker = await startPrivateBroker();
}, 60_000);

afterAll(async () => {
  await broker[Symbol.asyncDispose]();
}, 60_000);

test("a broker that hangs without a word is noticed by heartbeats, and found again when it goes on", async () => {
  await using session = await openSession({ urls: [broker.amqpUrl], name: "t", log: silent, heartbeatSeconds: 1 });
  await session.connected({ signal: AbortSignal.timeout(30_000) });
  await broker.pause();
  try {
    const lost = await waitFor(() => {
      const { consume } = session.state();
      return consume.kind === "connecting" ? consume : undefined;
    });
    expect(lost.error).toContain("Heartbeat timeout");
  } finally {
    await broker.resume();
  }
  await session.connected({ signal: AbortSignal.timeout(30_000) });
}, 60_000);

test("a memory alarm pauses publishing, shows, lets consuming go on, and loses nothing; so does a killed broker", async () => {
  const metrics = createMetrics({ service: "test", version: "0" });
  await using session = await openSession({ urls: [broker.amqpUrl], name: "t", log: silent, metrics });
  await session.connected({ signal: AbortSignal.timeout(30_000) });
  await makeQueue(session, "q");
  await makeQueue(session, "work");
  await fill(session, "work", ["w"]);
  await using publisher = session.publisher({ maxInFlight: 20 });
  const publish = (messageId: string) =>
    publisher.publish({ exchange: "", routingKey: "q", body: Buffer.from("x"), messageId, deadlineMs: 60_000 });
  await publish("first");

  await broker.memoryAlarm(true);
  // The broker tells of the alarm when somebody publishes.
  const probe = publish("probe");
  const blocked = await waitFor(() => {
    const { publish: state } = session.state();
    return state.kind === "blocked" ? state : undefined;
  });
  expect(blocked.reason).toContain("memory");
  expect(await metrics.value("warren_amqp_connection_state", { role: "publish", state: "blocked" })).toBe(1);
  await waitFor(async () => (await metrics.value("warren_amqp_in_flight")) === 1);
  const ids = Array.from({ length: 100 }, (_, index) => String(index));
  const paused = ids.map(publish);
  await expect(
    publisher.publish({ exchange: "", routingKey: "q", body: Buffer.from("x"), messageId: "hasty", deadlineMs: 200 }),
  ).rejects.toMatchObject({ code: "AMQP_PUBLISH_TIMEOUT", message: expect.stringContaining("blocks publishing") });
  expect(await metrics.value("warren_amqp_in_flight")).toBe(1);
  const taken: string[] = [];
  await using consumer = await session.consume({
    queue: "work",
    prefetch: 1,
    onMessage: (delivery) => {
      taken.push(String(delivery.messageId));
      delivery.ack();
    },
  });
  await waitFor(() => taken.length === 1, { what: "a delivery during the alarm" });

  await broker.memoryAlarm(false);
  await Promise.all([probe, ...paused]);
  expect(session.state().publish.kind).toBe("connected");
  expect(await contents(session, "q")).toEqual(["first", "probe", ...ids]);

  await broker.kill();
  await waitFor(() => session.state().consume.kind === "connecting");
  const meanwhile = publish("meanwhile");
  await broker.start();
  await meanwhile;
  await consumer.consuming({ signal: AbortSignal.timeout(30_000) });
  // Messages that were looked at and given back may change places over a restart; none may be lost or doubled.
  const sorted = [...(await contents(session, "q"))].sort();
  expect(sorted).toEqual(["first", "probe", "meanwhile", ...ids].sort());
}, 120_000);
