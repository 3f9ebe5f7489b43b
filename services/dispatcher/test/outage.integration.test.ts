import { openSession } from "@warren/amqp";
import { handle } from "@warren/jobs";
import { openLedger } from "@warren/ledger";
import { startTcpProxy, waitFor } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Bench, note, openBench } from "./fixture.ts";

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(async () => {
  await bench[Symbol.asyncDispose]();
});

test("a dispatcher that loses Postgres waits, recovers by itself, and takes no living worker for dead", async () => {
  const url = new URL(bench.world.databaseUrl);
  await using stack = new AsyncDisposableStack();
  const proxy = stack.use(await startTcpProxy({ targetPort: Number(url.port) }));
  url.port = String(proxy.port);
  const ledger = stack.use(await openLedger({ connectionString: url.href, log: bench.log, connectTimeoutMs: 500 }));
  await bench.worker([handle(note, () => undefined)]);
  const dispatcher = await bench.dispatcher({ ledger, leaseRule: { leaseMs: 3_000, maxGapMs: 2_800 } });
  stack.use(dispatcher);
  const first = await bench.quietClient.enqueue(note, { text: "before" });
  await bench.until(first.id, "succeeded");

  await proxy.refuse();
  const failed = () => bench.metrics.value("warren_dispatcher_failed_rounds_total", { loop: "unsent" });
  await waitFor(async () => ((await failed()) ?? 0) > 0, { what: "a failed round" });
  const during = await bench.quietClient.enqueue(note, { text: "during" });
  await proxy.heal();
  await bench.until(during.id, "succeeded");
  expect(await bench.metrics.value("warren_workers_expired_total")).toBe(0);
  expect(dispatcher.health().status).toBe("ok");
});

test("a dispatcher that loses the broker takes nothing meanwhile, and sends when it is back", async () => {
  const url = new URL(bench.world.amqpUrl);
  await using stack = new AsyncDisposableStack();
  const proxy = stack.use(await startTcpProxy({ targetPort: Number(url.port) }));
  url.port = String(proxy.port);
  const session = stack.use(await openSession({ urls: [url.href], name: "cut", log: bench.log }));
  await session.connected();
  stack.use(await bench.dispatcher({ session }));
  await bench.worker([handle(note, () => undefined)]);
  await proxy.refuse();
  await waitFor(() => session.state().publish.kind !== "connected");
  const { id } = await bench.quietClient.enqueue(note, { text: "during" });
  await proxy.heal();
  expect((await bench.until(id, "succeeded")).attempt).toBe(1);
});
