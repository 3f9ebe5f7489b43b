import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { eventHeaders } from "@warren/contracts";
import { runWithContext } from "@warren/observability";
import { waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import type { Event } from "../src/events/event.ts";
import { subscribe } from "../src/events/subscribe.ts";
import { openEventBench, orderCreated, orderPaid } from "./events-fixture.ts";
import { findPika } from "./python/pika.ts";

const python = await findPika();
const script = (name: string): string => fileURLToPath(new URL(`python/${name}`, import.meta.url));

test("a subscriber in plain Python reads events without our code", async ({ skip }) => {
  if (typeof python === "string") {
    skip(python);
    return;
  }
  await using bench = await openEventBench();
  const child = spawn(python.command, [script("subscriber.py"), bench.world.amqpUrl, "orders.#", "2"], {
    env: python.env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  try {
    await waitFor(() => lines[0] === "ready", { what: "the Python subscriber", timeoutMs: 20_000 });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const created = await runWithContext({ correlationId: "request-1", traceparent }, () =>
      bench.client.publish(orderCreated, { orderId: "заказ-1", total: 9.5 }, { subject: "o-1" }),
    );
    const paid = await bench.client.publish(orderPaid, { orderId: "o-2" });
    expect((await ended)[0]).toBe(0);
    const [first, second] = lines.slice(1).map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(first).toMatchObject({
      routing_key: "orders.created",
      message_id: created.id,
      correlation_id: "request-1",
      content_type: "application/json",
      delivery_mode: 2,
      headers: {
        cloudEvents_specversion: "1.0",
        cloudEvents_id: created.id,
        cloudEvents_type: "orders.created",
        cloudEvents_source: "warren",
        cloudEvents_subject: "o-1",
        cloudEvents_dataversion: 1,
        traceparent,
      },
      data: { orderId: "заказ-1", total: 9.5 },
    });
    expect(eventHeaders.safeParse(first?.["headers"]).error).toBeUndefined();
    expect(second).toMatchObject({ routing_key: "orders.paid", message_id: paid.id, data: { orderId: "o-2" } });
  } finally {
    child.kill("SIGKILL");
  }
});

test("an event published from plain Python is handled, and an invalid one is set aside", async ({ skip }) => {
  if (typeof python === "string") {
    skip(python);
    return;
  }
  await using bench = await openEventBench();
  const got: Event[] = [];
  await bench.subscriber([
    subscribe(orderCreated, { service: "billing", name: "invoices" }, (event) => void got.push(event)),
  ]);
  const publish = (id: string, data: string) =>
    promisify(execFile)(python.command, [script("publisher.py"), bench.world.amqpUrl, "orders.created", id, data], {
      env: python.env,
    });
  await publish("py-1", '{"orderId": "o-1", "total": 9.5}');
  await publish("py-2", '{"orderId": 7}');
  await waitFor(() => got.length === 1);
  expect(got[0]).toMatchObject({
    id: "py-1",
    source: "/python",
    version: 1,
    correlationId: "from-python",
    data: { orderId: "o-1", total: 9.5 },
  });
  expect(Math.abs(Date.now() - (got[0]?.time?.getTime() ?? 0))).toBeLessThan(60_000);
  const dead = await waitFor(() => bench.takeDead());
  expect(dead.headers).toMatchObject({ cloudEvents_id: "py-2", "x-warren-reason": "EVENT_DATA_INVALID" });
});
