import { setTimeout as sleep } from "node:timers/promises";
import { jobsTopology, openSession } from "@warren/amqp";
import { createWorker, handle } from "@warren/jobs";
import { openLedger } from "@warren/ledger";
import { createLogger, createMetrics } from "@warren/observability";
import { serveRole } from "../role.ts";
import { jobs, queues } from "./definitions.ts";

const name = "bench-worker";
const log = createLogger({ service: name, level: "warn" });
const metrics = createMetrics({ service: name, version: "bench" });
const connectionString = process.env["BENCH_DATABASE_URL"] ?? "";
const ledger = await openLedger({ connectionString, log, metrics, applicationName: name });
const session = await openSession({ urls: [process.env["BENCH_AMQP_URL"] ?? ""], name, log, metrics });
await session.connected();
await session.declare(jobsTopology({ queues: [...queues] }));

/** Starts a worker of one queue, whose backlog is there, and waits until `count` jobs were run and are settled. */
async function drain(queue: string, count: number): Promise<object> {
  const seen = new Set<number>();
  let runs = 0;
  let firstAt = 0;
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  const own = jobs.filter((job) => job.queue === queue);
  const worker = createWorker({
    ledger,
    session,
    log,
    metrics,
    concurrency: 100,
    jobs: own.map((job) =>
      handle(job, ({ payload }) => {
        if (runs === 0) firstAt = performance.now();
        runs += 1;
        seen.add(payload.number);
        if (seen.size === count) resolve();
      }),
    ),
  });
  await worker.start();
  await reached;
  const open = `select exists (select from ${ledger.table("jobs")} where state = 'running' and worker_id = $1) as open`;
  while ((await ledger.query(open, [worker.id])).rows[0]?.["open"] !== false) await sleep(2);
  const ms = performance.now() - firstAt;
  await worker.quiet();
  await worker.drain(AbortSignal.timeout(5_000));
  await worker[Symbol.asyncDispose]();
  // what a governed queue had released beyond the count ran too, if it was claimed
  const beyond = Math.max(0, seen.size - count);
  return { unique: seen.size - beyond, duplicates: runs - seen.size, ms };
}

serveRole((command) => drain(String(command["queue"]), Number(command["count"])));
