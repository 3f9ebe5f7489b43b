import { startTcpProxy, testServers, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { type AmqpSession, controlExchange, controlTopology, openSession } from "../src/index.ts";
import { brokerPort, opened, silent } from "./opened.ts";

async function say(session: AmqpSession, text: string, exchange = controlExchange, routingKey = ""): Promise<void> {
  await using publisher = session.publisher();
  const body = Buffer.from(text);
  const messageId = crypto.randomUUID();
  await publisher.publish({ exchange, routingKey, body, messageId, transient: true, onUnrouted: () => undefined });
}

const hears = (session: AmqpSession, heard: string[], onListening?: () => void) =>
  session.listen({
    name: controlExchange,
    bindings: [{ exchange: controlExchange, routingKey: "" }],
    onMessage: ({ body }) => {
      if (body.toString() === "bad") throw new Error("a listener that fails");
      heard.push(body.toString());
    },
    onListening,
  });

test("every process hears a broadcast, and one that fails hears the next", async () => {
  await using at = await opened();
  await using other = await openSession({ urls: [at.world.amqpUrl], name: "other", log: silent });
  await at.session.declare(controlTopology);
  const heard: string[][] = [[], []];
  await using first = hears(at.session, heard[0]!);
  await using second = hears(other, heard[1]!);
  await Promise.all([first.listening(), second.listening()]);
  for (const text of ["one", "bad", "two"]) await say(at.session, text);
  await waitFor(() => heard.every((texts) => texts.length === 2));
  expect(heard).toEqual([
    ["one", "two"],
    ["one", "two"],
  ]);
});

test("a listener that was cut off says so when it listens again, in a queue of its own, and its old queue is gone", async () => {
  await using proxy = await startTcpProxy({ targetPort: brokerPort(testServers().amqpUrl) });
  await using at = await opened({}, (world) => proxy.through(world.amqpUrl));
  await at.session.declare(controlTopology);
  const heard: string[] = [];
  let listened = 0;
  await using listener = hears(at.session, heard, () => {
    listened += 1;
  });
  await listener.listening();
  expect(listened).toBe(1);
  proxy.cut();
  await waitFor(() => listened === 2);
  await say(at.session, "again");
  await waitFor(() => heard.length === 1);
  const queues = await waitFor(async () => {
    const list = (await at.world.management.request("GET", `/queues/${at.world.vhost}`)) as readonly { name: string }[];
    return list.length === 1 ? list : undefined;
  });
  expect(queues[0]?.name).toMatch(/^warren\.control\./);
  await listener[Symbol.asyncDispose]();
});

test("bindings come and go while it listens, and an exchange that is missing is waited for", async () => {
  await using at = await opened();
  const heard: string[] = [];
  const binding = { exchange: "warren.activity", routingKey: "*.b" };
  await using listener = at.session.listen({
    name: "test",
    bindings: [{ exchange: "warren.activity", routingKey: "*.a" }],
    onMessage: ({ routingKey }) => heard.push(routingKey),
  });
  await expect(listener.listening({ signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ name: "TimeoutError" });
  await at.session.declare(controlTopology);
  await listener.listening({ signal: AbortSignal.timeout(30_000) });
  await say(at.session, "", "warren.activity", "x.b");
  await listener.bind(binding);
  await say(at.session, "", "warren.activity", "y.b");
  await listener.unbind(binding);
  await say(at.session, "", "warren.activity", "z.b");
  await say(at.session, "", "warren.activity", "x.a");
  await waitFor(() => heard.length === 2);
  expect(heard).toEqual(["y.b", "x.a"]);
});
