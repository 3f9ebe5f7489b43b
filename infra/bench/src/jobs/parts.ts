import { jobsTopology, openSession } from "@warren/amqp";
import { openLedger } from "@warren/ledger";
import { createLogger, createMetrics } from "@warren/observability";

/** What a service would open, with metrics on and the log at `warn`. */
export async function openParts(name: string) {
  const log = createLogger({ service: name, level: "warn" });
  const metrics = createMetrics({ service: name, version: "bench" });
  const connectionString = process.env["BENCH_DATABASE_URL"] ?? "";
  const ledger = await openLedger({ connectionString, log, metrics, applicationName: name });
  const session = await openSession({ urls: [process.env["BENCH_AMQP_URL"] ?? ""], name, log, metrics });
  await session.connected();
  await session.declare(jobsTopology({ queues: ["bench"] }));
  return { log, metrics, ledger, session };
}
