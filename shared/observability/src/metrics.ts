import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { checkMetricName } from "./metric-names.ts";

/** Upper bounds in seconds for calls over a network (OpenTelemetry's advice for messaging and HTTP). */
export const callBuckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] as const;

/** Upper bounds in seconds for waiting and running of jobs: a millisecond to an hour. */
export const jobBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3600] as const;

export type Labels<L extends string> = Readonly<Record<L, string>>;

export interface MetricOptions<L extends string> {
  /** `warren_…`, base units (`_seconds`, `_bytes`), `_total` on counters and only there. */
  readonly name: string;
  readonly help: string;
  /** Label names; never ids: each distinct value is a time series for ever. */
  readonly labels: readonly L[];
}

export interface GaugeOptions<L extends string> extends MetricOptions<L> {
  /** Fills the gauge at each scrape. Given 2 s; a failure leaves the last values and is counted. */
  readonly collect?: (gauge: WarrenGauge<L>) => void | Promise<void>;
}

export interface HistogramOptions<L extends string> extends MetricOptions<L> {
  /** Upper bounds, in the unit of the name. */
  readonly buckets: readonly number[];
}

export interface CounterChild {
  inc(value?: number): void;
}
export interface GaugeChild extends CounterChild {
  set(value: number): void;
  dec(value?: number): void;
}
export interface HistogramChild {
  observe(value: number): void;
}

/** `child(labels)` is cached: on a hot path hold the child, or let `inc` look it up. */
export interface WarrenCounter<L extends string> {
  inc(labels: Labels<L>, value?: number): void;
  child(labels: Labels<L>): CounterChild;
}
export interface WarrenGauge<L extends string> {
  set(labels: Labels<L>, value: number): void;
  child(labels: Labels<L>): GaugeChild;
  /** Drops all series, for gauges that are filled anew at each scrape. */
  reset(): void;
}
export interface WarrenHistogram<L extends string> {
  observe(labels: Labels<L>, value: number): void;
  child(labels: Labels<L>): HistogramChild;
}

/** The metrics of one process. Asking twice for the same metric gives the same one; another shape under its name is an error. */
export interface Metrics {
  counter<L extends string = never>(options: MetricOptions<L>): WarrenCounter<L>;
  gauge<L extends string = never>(options: GaugeOptions<L>): WarrenGauge<L>;
  histogram<L extends string = never>(options: HistogramOptions<L>): WarrenHistogram<L>;
  /** The Prometheus text of all metrics, and its content type. */
  text(): Promise<string>;
  readonly contentType: string;
  /** The value of one series now (a histogram: its count), `undefined` if there is none. For tests and tools. */
  value(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>;
}

export interface CreateMetricsOptions {
  readonly service: string;
  readonly version: string;
  /**
   * Whether to add the process's own metrics: `process_*` and `nodejs_*` with event-loop lag. Default `false`: they start observers
   * that live as long as the process, so only a process's main asks for them.
   */
  readonly processMetrics?: boolean;
}

const collectDeadlineMs = 2_000;
const eventLoopResolutionMs = 20;

/** Creates the registry of a process, with `warren_build_info{service,version,node}` set to 1. */
export function createMetrics(options: CreateMetricsOptions): Metrics {
  const registry = new Registry();
  if (options.processMetrics === true) {
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: eventLoopResolutionMs });
  }
  const known = new Map<string, { readonly shape: string; readonly family: unknown }>();
  const collectErrors = new Counter({
    name: "warren_metrics_collect_errors_total",
    help: "Failed or late fillings of a gauge at a scrape",
    labelNames: ["metric"],
    registers: [registry],
  });

  /** Makes a metric once. The cast is sound: the shape, which holds kind and labels, is compared. */
  function once<F>(kind: "counter" | "gauge" | "histogram", metric: MetricOptions<string>, make: () => F): F {
    checkMetricName(kind, metric.name, metric.labels);
    const shape = `${kind}(${metric.labels.join(",")})`;
    const earlier = known.get(metric.name);
    if (earlier === undefined) {
      const family = make();
      known.set(metric.name, { shape, family });
      return family;
    }
    if (earlier.shape !== shape) throw new TypeError(`${metric.name} is ${earlier.shape}, not ${shape}`);
    return earlier.family as F;
  }

  const metrics: Metrics = {
    contentType: registry.contentType,
    counter<L extends string>(metric: MetricOptions<L>) {
      return once("counter", metric, (): WarrenCounter<L> => {
        const counter = new Counter({ ...base(metric), registers: [registry] });
        const child = cached(metric.labels, (values) => counter.labels(...values));
        if (metric.labels.length === 0) counter.inc(0);
        return { child, inc: (labels, value) => child(labels).inc(value) };
      });
    },
    gauge<L extends string>(metric: GaugeOptions<L>) {
      return once("gauge", metric, (): WarrenGauge<L> => {
        const collect = metric.collect;
        const fill = async () => {
          if (collect === undefined) return;
          try {
            await within(collectDeadlineMs, async () => collect(family));
          } catch {
            collectErrors.inc({ metric: metric.name });
          }
        };
        const gauge = new Gauge({
          ...base(metric),
          registers: [registry],
          ...(collect === undefined ? {} : { collect: fill }),
        });
        const cache = new Map<string, GaugeChild>();
        const child = cached(metric.labels, (values) => gauge.labels(...values), cache);
        const family: WarrenGauge<L> = {
          child,
          set: (labels, value) => child(labels).set(value),
          reset: () => {
            gauge.reset();
            cache.clear();
          },
        };
        return family;
      });
    },
    histogram<L extends string>(metric: HistogramOptions<L>) {
      return once("histogram", metric, (): WarrenHistogram<L> => {
        const histogram = new Histogram({ ...base(metric), buckets: [...metric.buckets], registers: [registry] });
        const child = cached(metric.labels, (values) => histogram.labels(...values));
        return { child, observe: (labels, value) => child(labels).observe(value) };
      });
    },
    text: () => registry.metrics(),
    async value(name, labels = {}) {
      const metric = await registry.getSingleMetric(name)?.get();
      const wanted = Object.entries(labels);
      const found = metric?.values.find(
        (sample) =>
          (!("metricName" in sample) || sample.metricName === name || sample.metricName === `${name}_count`) &&
          wanted.every(
            ([label, value]) => new Map<string, unknown>(Object.entries(sample.labels)).get(label) === value,
          ),
      );
      return found?.value;
    },
  };
  metrics
    .gauge({ name: "warren_build_info", help: "Always 1; what runs here", labels: ["service", "version", "node"] })
    .set({ service: options.service, version: options.version, node: process.versions.node }, 1);
  return metrics;
}

function base<L extends string>(metric: MetricOptions<L>) {
  return { name: metric.name, help: metric.help, labelNames: [...metric.labels] };
}

/** Children by their label values: prom-client hashes, sorts and validates the labels on every call, which costs more than the count. */
function cached<L extends string, C>(
  names: readonly L[],
  make: (values: string[]) => C,
  children: Map<string, C> = new Map<string, C>(),
) {
  return (labels: Labels<L>): C => {
    const values = names.map((name) => labels[name]);
    const key = values.join("\u0000");
    let child = children.get(key);
    if (child === undefined) {
      child = make(values);
      children.set(key, child);
    }
    return child;
  };
}

async function within(deadlineMs: number, run: () => Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
}
