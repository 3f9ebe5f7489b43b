import { describe, expect, test, vi } from "vitest";
import { createMetrics, jobBuckets } from "../src/index.ts";

const broken = () => {
  throw new Error("database away");
};
const create = () => createMetrics({ service: "test", version: "1.0.0" });

describe("metrics", () => {
  test.for([
    { kind: "counter", name: "jobs_total", why: "must look like" },
    { kind: "counter", name: "warren_jobs", why: "ends in _total" },
    { kind: "gauge", name: "warren_jobs_total", why: "only a counter" },
    { kind: "histogram", name: "warren_wait_ms", why: "base units" },
    { kind: "gauge", name: "warren_heap_mb", why: "base units" },
    { kind: "gauge", name: "warren_Jobs", why: "must look like" },
  ] as const)("refuse the $kind $name: $why", ({ kind, name, why }) => {
    const metrics = create();
    const options = { name, help: "x", labels: [], buckets: [1] };
    expect(() => metrics[kind](options)).toThrow(why);
  });

  test.for(["id", "job_id", "Queue"])("refuse the label %s", (label) => {
    expect(() => create().counter({ name: "warren_x_total", help: "x", labels: [label] })).toThrow(TypeError);
  });

  test("count, gauge and observe by label, and give the Prometheus text", async () => {
    const metrics = create();
    metrics.counter({ name: "warren_jobs_total", help: "Jobs", labels: ["queue"] }).inc({ queue: "mail" }, 2);
    metrics.gauge({ name: "warren_slots", help: "Slots", labels: [] }).set({}, 4);
    const wait = metrics.histogram({
      name: "warren_wait_seconds",
      help: "Wait",
      labels: ["queue"],
      buckets: jobBuckets,
    });
    wait.observe({ queue: "mail" }, 0.2);
    const text = await metrics.text();
    expect(text).toContain('warren_jobs_total{queue="mail"} 2');
    expect(text).toContain("warren_slots 4");
    expect(text).toContain('warren_wait_seconds_bucket{le="0.5",queue="mail"} 1');
    expect(text).toContain('warren_build_info{service="test",version="1.0.0"');
    expect(await metrics.value("warren_wait_seconds", { queue: "mail" })).toBe(1);
    expect(await metrics.value("warren_jobs_total", { queue: "other" })).toBeUndefined();
  });

  test("give the same metric to all who ask for it, and refuse another shape under its name", () => {
    const metrics = create();
    const first = metrics.counter({ name: "warren_x_total", help: "x", labels: ["queue"] });
    expect(metrics.counter({ name: "warren_x_total", help: "x", labels: ["queue"] })).toBe(first);
    expect(() => metrics.counter({ name: "warren_x_total", help: "x", labels: ["source"] })).toThrow(
      "warren_x_total is counter(queue)",
    );
  });

  test("keep children, so that a hot path pays no lookup in the registry", () => {
    const counter = create().counter({ name: "warren_x_total", help: "x", labels: ["a", "b"] });
    expect(counter.child({ a: "1", b: "2" })).toBe(counter.child({ b: "2", a: "1" }));
    expect(counter.child({ a: "1", b: "2" })).not.toBe(counter.child({ a: "12", b: "" }));
  });

  test("outlive a gauge that fails or hangs while it is filled, and count that", async () => {
    vi.useFakeTimers();
    const metrics = create();
    metrics.gauge({ name: "warren_broken", help: "x", labels: ["queue"], collect: broken });
    metrics.gauge({ name: "warren_hanging", help: "x", labels: [], collect: () => new Promise(() => undefined) });
    metrics.gauge({
      name: "warren_fine",
      help: "x",
      labels: ["queue"],
      collect: (gauge) => gauge.set({ queue: "q" }, 7),
    });
    const text = metrics.text();
    await vi.advanceTimersByTimeAsync(2_000);
    vi.useRealTimers();
    expect(await text).toContain('warren_fine{queue="q"} 7');
    expect(await metrics.value("warren_metrics_collect_errors_total", { metric: "warren_broken" })).toBeGreaterThan(0);
    expect(await metrics.value("warren_metrics_collect_errors_total", { metric: "warren_hanging" })).toBe(1);
  }, 10_000);

  test("drop the series of a gauge that is filled anew", async () => {
    const metrics = create();
    const gauge = metrics.gauge({ name: "warren_queue_depth", help: "x", labels: ["queue"] });
    gauge.set({ queue: "gone" }, 1);
    gauge.reset();
    gauge.set({ queue: "here" }, 1);
    const text = await metrics.text();
    expect(text).toContain('warren_queue_depth{queue="here"} 1');
    expect(text).not.toContain("gone");
  });
});
