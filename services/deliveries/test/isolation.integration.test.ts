import { spawnService, waitFor } from "@warren/testing";
import { expect, test } from "vitest";
import { openBench, serviceSettings } from "./platform.ts";
import { silence, startReceiver, status } from "./receiver.ts";

test("one slow endpoint fills its own places and delays no other", async () => {
  await using bench = await openBench();
  await using slow = await startReceiver();
  await using quick = await startReceiver();
  slow.answer(silence);
  const { endpoint: slowOne } = await bench.endpoint({ url: slow.url, timeoutMs: 30_000 });
  const { endpoint: quickOne } = await bench.endpoint({ url: quick.url });
  await bench.serve({
    WARREN_DELIVERY_CONCURRENCY: "8",
    WARREN_DELIVERY_PER_ENDPOINT: "3",
  });
  // the slow one's come first, and are more than the worker has places
  for (let one = 0; one < 20; one += 1) await bench.deliver(slowOne.id);
  await waitFor(() => slow.received.length === 3, { what: "the slow endpoint's places to be filled" });
  const ids = await Promise.all(Array.from({ length: 25 }, () => bench.deliver(quickOne.id)));
  const done = await Promise.all(ids.map((id) => bench.until(id, "delivered")));
  expect(done).toHaveLength(25);
  expect(slow.received).toHaveLength(3);
  // lets what hangs there end, so that the service can stop
  slow.answer(status(200));
  await bench.endpoints.disable(slowOne.id);
});

test("fifty endpoints that hang at once fill every place, and give them back for the others", async () => {
  await using bench = await openBench();
  await using slow = await startReceiver();
  await using quick = await startReceiver();
  slow.answer(silence);
  await bench.serve({
    WARREN_DELIVERY_CONCURRENCY: "8",
    WARREN_DELIVERY_PER_ENDPOINT: "2",
    WARREN_DELIVERY_SLOW_AFTER_MS: "50",
  });
  const hanging = await Promise.all(
    Array.from({ length: 50 }, () => bench.endpoint({ url: slow.url, timeoutMs: 30_000 })),
  );
  await Promise.all(
    hanging.flatMap(({ endpoint: { id } }) => [bench.deliver(id), bench.deliver(id), bench.deliver(id)]),
  );
  const { endpoint } = await bench.endpoint({ url: quick.url });
  const ids = await Promise.all(Array.from({ length: 10 }, () => bench.deliver(endpoint.id)));
  // sooner than any of the others ends
  const done = await Promise.all(ids.map((id) => bench.until(id, "delivered", 25_000)));
  expect(done).toHaveLength(10);
  await waitFor(() => slow.received.length === 100, { what: "each that hangs to have its two places, and no third" });
  slow.answer(status(200));
  await Promise.all(hanging.map(({ endpoint: { id } }) => bench.endpoints.disable(id)));
});

test("a rate of its own holds for one endpoint and no other, from the moment it is set", async () => {
  await using bench = await openBench();
  await using receiver = await startReceiver();
  await using other = await startReceiver();
  const { endpoint } = await bench.endpoint({ url: receiver.url, rate: { limit: 2, perMs: 60_000 } });
  const { endpoint: free } = await bench.endpoint({ url: other.url });
  await bench.serve();
  for (let one = 0; one < 6; one += 1) await bench.deliver(endpoint.id);
  const ids = await Promise.all(Array.from({ length: 6 }, () => bench.deliver(free.id)));
  await Promise.all(ids.map((id) => bench.until(id, "delivered")));
  await waitFor(() => receiver.received.length === 2, { what: "what the rate allows" });
  await bench.endpoints.update(endpoint.id, { rate: null });
  await waitFor(() => receiver.received.length === 6, { what: "the others" });
  expect(other.received).toHaveLength(6);
});

test("a delivery whose worker is killed goes out again under the same webhook-id, and the lost try is in the list", async () => {
  await using bench = await openBench();
  await using receiver = await startReceiver();
  receiver.answer(silence);
  const { endpoint } = await bench.endpoint({ url: receiver.url });
  const env = {
    ...serviceSettings,
    DATABASE_URL: bench.world.databaseUrl,
    AMQP_URL: bench.world.amqpUrl,
  };
  const id = await bench.deliver(endpoint.id, { eventId: "evt_kill" });
  {
    await using doomed = await spawnService({ entry: "services/deliveries/src/main.ts", env });
    await waitFor(() => receiver.received.length === 1, { what: "the first try" });
    await doomed.kill();
  }
  // what the dispatcher does when the lease is over
  const [dead] = await bench.ledger.beats();
  await bench.ledger.expireWorker({ id: dead?.id ?? "", beatSeq: dead?.beatSeq ?? "" });
  receiver.answer(status(200));
  await bench.serve();
  expect(await bench.until(id, "delivered")).toMatchObject({ attempts: 2 });
  expect(receiver.received.map(({ headers }) => headers["webhook-id"])).toEqual(["evt_kill", "evt_kill"]);
  expect(await bench.deliveries.attempts(id, 10)).toMatchObject([
    { number: 2, outcome: "delivered" },
    { number: 1, outcome: "lost", reason: "DELIVERY_WORKER_LOST" },
  ]);
});

test("a key that is missing here costs no try: the delivery waits until it is there", async () => {
  await using bench = await openBench();
  await using receiver = await startReceiver();
  const { endpoint } = await bench.endpoint({ url: receiver.url });
  const id = await bench.deliver(endpoint.id);
  await bench.serve({ WARREN_PAYLOAD_KEYS: `other:${Buffer.alloc(32, 9).toString("base64")}` });
  const job = await waitFor(
    async () => {
      const found = await bench.ledger.findJob(id);
      return found !== undefined && found.excused > 0 ? found : undefined;
    },
    { what: "the job to be put off" },
  );
  expect(job.attempt - job.excused).toBe(0);
  expect(job.finishedAt).toBeUndefined();
  expect(receiver.received).toEqual([]);
});
