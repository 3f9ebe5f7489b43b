import { z } from "zod";
import { count, parseOptions } from "./options.ts";

const mostPrefetch = 200;

const given = z.custom<unknown>((value) => value !== undefined, "is missing");

const workerOptions = z.strictObject({
  ledger: given,
  session: given,
  jobs: z.array(z.unknown()),
  concurrency: count.max(10_000).default(10),
  prefetch: count.max(65_535).optional(),
  version: z.string().default(""),
  heartbeatMs: z.number().int().positive().max(5_000).default(3_000),
  log: given,
  metrics: given,
  tracing: z.unknown().optional(),
  random: z.unknown().optional(),
  newId: z.unknown().optional(),
});

/** The numbers among a worker's options, checked. @throws JobOptionError. */
export function parseWorkerOptions(options: unknown) {
  const { concurrency, prefetch, version, heartbeatMs } = parseOptions("createWorker", workerOptions, options);
  return { concurrency, prefetch: prefetch ?? Math.min(concurrency, mostPrefetch), version, heartbeatMs };
}
