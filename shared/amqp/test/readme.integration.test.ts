import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createWorld, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { jobQueue, jobsExchange, jobsTopology, openSession } from "../src/index.ts";
import { silent as log } from "./opened.ts";

const words = (code: string): string => code.replaceAll(/\s+/g, " ").trim();

test("the example of the README works", async () => {
  await using world = await createWorld();
  const { amqpUrl } = world;
  const received: string[] = [];
  {
    // README
    await using session = await openSession({ urls: [amqpUrl], name: "billing", log });
    await session.declare(jobsTopology({ queues: ["invoices"] }));

    await using consumer = await session.consume({
      queue: jobQueue("invoices"),
      prefetch: 50,
      onMessage: (delivery) => {
        received.push(delivery.body.toString());
        delivery.ack();
      },
    });

    await using publisher = session.publisher();
    await publisher.publish({
      exchange: jobsExchange,
      routingKey: "invoices",
      body: Buffer.from("{}"),
      messageId: randomUUID(),
    });
    // end
    await waitFor(() => received.length === 1);
    expect(await consumer.drain(AbortSignal.timeout(30_000))).toBe(true);
  }
  const [readme, source] = await Promise.all(
    ["../README.md", "./readme.integration.test.ts"].map((path) => readFile(new URL(path, import.meta.url), "utf8")),
  );
  const shown = /```ts\n([^]*?)```/.exec(readme ?? "")?.[1] ?? "no example";
  const run = /\/\/ README\n([^]*?)\/\/ end/.exec(source ?? "")?.[1] ?? "nothing";
  expect(words(shown)).toBe(words(run));
});
