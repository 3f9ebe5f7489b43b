export { type Context, currentContext, runWithContext } from "./context.ts";
export {
  createHealth,
  type Health,
  type HealthAnswer,
  type HealthCheck,
  type HealthOptions,
  type HealthReport,
  type HealthResult,
  type HealthStatus,
} from "./health.ts";
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
export { openTracing, type SpanOptions, type Tracing, type TracingOptions, type WarrenSpan } from "./tracing.ts";
