import type { Logger, Metrics } from "@warren/observability";

/** What this room writes to; never a job's payload. */
export type LedgerLog = Pick<Logger, "debug" | "info" | "warn" | "error">;

/** What this room needs of `createMetrics()`. */
export type LedgerMetrics = Pick<Metrics, "counter" | "gauge" | "histogram">;
