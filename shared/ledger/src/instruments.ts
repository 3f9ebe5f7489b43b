import type pg from "pg";
import type { LedgerMetrics } from "./log.ts";
import type { OnBatch } from "./postgres/batcher.ts";

export interface Instruments {
  readonly onBatch: OnBatch | undefined;
}

const sizeBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500] as const;
const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;

/** The figures of one ledger: counted per batch, not per job. */
export function createInstruments(metrics: LedgerMetrics | undefined, pool: pg.Pool): Instruments {
  if (metrics === undefined) return { onBatch: undefined };
  const size = metrics.histogram({
    name: "warren_ledger_batch_size",
    help: "Rows that shared a statement",
    labels: ["statement"],
    buckets: sizeBuckets,
  });
  const duration = metrics.histogram({
    name: "warren_ledger_batch_duration_seconds",
    help: "How long a batch took, waiting for a connection included",
    labels: ["statement"],
    buckets: durationBuckets,
  });
  metrics.gauge({
    name: "warren_ledger_connections",
    help: "Connections to Postgres by what they do, and calls that wait for one",
    labels: ["state"],
    collect: (gauge) => {
      gauge.set({ state: "busy" }, pool.totalCount - pool.idleCount);
      gauge.set({ state: "idle" }, pool.idleCount);
      gauge.set({ state: "awaited" }, pool.waitingCount);
    },
  });
  return {
    onBatch: (batch) => {
      size.observe({ statement: batch.name }, batch.size);
      duration.observe({ statement: batch.name }, batch.durationMs / 1_000);
    },
  };
}
