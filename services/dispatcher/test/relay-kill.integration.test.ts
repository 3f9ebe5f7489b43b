import { createSubscriber, defineEvent, subscribe } from "@warren/jobs";
import { spawnService, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { z } from "zod";
import { openBench } from "./fixture.ts";

const orderCreated = defineEvent({ type: "orders.created", schema: z.object({ n: z.number() }) });

test("dispatcher processes killed while they relay lose no event", { timeout: 120_000 }, async () => {
  await using bench = await openBench();
  const { session, ledger, metrics, log, world, client } = bench;
  const seen = new Map<string, number>();
  await using subscriber = createSubscriber({
    session,
    ledger,
    metrics,
    log,
    subscriptions: [
      subscribe(orderCreated, { service: "billing", name: "invoices", concurrency: 50 }, ({ id }) => {
        seen.set(id, (seen.get(id) ?? 0) + 1);
      }),
    ],
  });
  await subscriber.start();
  const env = { DATABASE_URL: world.databaseUrl, AMQP_URL: world.amqpUrl, WARREN_SCHEMA: world.schema };
  const dispatcher = () => spawnService({ entry: "services/dispatcher/src/main.ts", env });
  const ids = new Set<string>();
  const victims = [await dispatcher(), await dispatcher()];
  for (const victim of victims) {
    const before = seen.size;
    await ledger.transaction(async (tx) => {
      for (let n = 0; n < 1_500; n += 1) ids.add((await client.publish(orderCreated, { n }, { tx })).id);
    });
    await waitFor(() => seen.size > before, { what: "the relay to begin", intervalMs: 1 });
    await victim.kill();
  }
  await using survivor = await dispatcher();
  // what a victim had taken comes up again when its lease of 10 s is over
  await waitFor(() => seen.size === ids.size, { what: "every event", timeoutMs: 60_000 });
  expect(new Set(seen.keys())).toEqual(ids);
  expect(survivor.running()).toBe(true);
  const left = async () => (await ledger.query(`select from ${ledger.table("event_outbox")}`, [])).rows.length;
  await waitFor(async () => (await left()) === 0, { timeoutMs: 30_000 });
});
