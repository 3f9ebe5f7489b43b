export { type Context, currentContext, runWithContext } from "./context.ts";
export { createLogger, type Logger, type LoggerOptions, type LogLevel, logLevels } from "./logger.ts";
export {
  type CounterChild,
  type CreateMetricsOptions,
  callBuckets,
  createMetrics,
  type GaugeChild,
  type GaugeOptions,
  type HistogramChild,
  type HistogramOptions,
  jobBuckets,
  type Labels,
  type MetricOptions,
  type Metrics,
  type WarrenCounter,
  type WarrenGauge,
  type WarrenHistogram,
} from "./metrics.ts";
export { describeError, redact, redacted, scrub } from "./redaction.ts";
export { formatTraceparent, parseTraceparent, type TraceContext } from "./traceparent.ts";
