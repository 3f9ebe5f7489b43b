import { setTimeout as sleep } from "node:timers/promises";
import { jobQueue, jobsTopology, openSession } from "@warren/amqp";
import { createClient, createWorker, defineJob, handle } from "@warren/jobs";
import { openLedger } from "@warren/ledger";
import { createLogger, createMetrics } from "@warren/observability";
import { z } from "zod";
import { type Payload, servePeer } from "../peer.ts";

const noop = defineJob({
  name: "bench.noop",
  queue: "peers",
  payload: z.object({ number: z.int(), sentAtNs: z.string(), filler: z.string() }),
});

servePeer(async () => {
  const log = createLogger({ service: "bench", level: "warn" });
  const metrics = createMetrics({ service: "bench", version: "bench" });
  const ledger = await openLedger({ connectionString: process.env["BENCH_DATABASE_URL"] ?? "", log, metrics });
  const session = await openSession({ urls: [process.env["BENCH_AMQP_URL"] ?? ""], name: "bench", log, metrics });
  await session.connected();
  await session.declare(jobsTopology({ queues: ["peers"] }));
  const client = createClient({ ledger, publisher: session.publisher(), log, metrics });
  const drained = `select not exists (select from ${ledger.table("jobs")}) as drained`;
  return {
    addOne: async (payload) => {
      await client.enqueue(noop, payload);
    },
    addMany: async (payloads: readonly Payload[]) => {
      await client.enqueueMany(
        noop,
        payloads.map((payload) => ({ payload })),
      );
    },
    // the ledger has them; their messages may still be on their way to the broker
    async added() {
      for (let before = -1; ; ) {
        await sleep(200);
        const now = (await session.depth(jobQueue("peers")))?.messages ?? 0;
        if (now === before) return;
        before = now;
      }
    },
    async work(concurrency, take) {
      const jobs = [handle(noop, ({ payload }) => take(payload))];
      const worker = createWorker({ ledger, session, log, metrics, concurrency, jobs });
      await worker.start();
      return async () => {
        await worker[Symbol.asyncDispose]();
      };
    },
    isDrained: async () => (await ledger.query(drained, [])).rows[0]?.["drained"] === true,
  };
});
