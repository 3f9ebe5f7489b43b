import type { Metrics } from "@warren/observability";

export interface DeliveryMetrics {
  /** A delivery that was not tried. */
  count(outcome: "refused"): void;
  observe(outcome: "delivered" | "failed", durationMs: number): void;
}

export function createDeliveryMetrics(metrics: Pick<Metrics, "counter" | "histogram">): DeliveryMetrics {
  const tries = metrics.counter({
    name: "warren_webhook_deliveries_total",
    help: "Tries of outbound deliveries by outcome: delivered, failed; refused: the endpoint is disabled or gone",
    labels: ["outcome"],
  });
  const durations = metrics.histogram({
    name: "warren_webhook_delivery_seconds",
    help: "How long endpoints took: connecting, sending and the whole answer",
    labels: ["outcome"],
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  });
  return {
    count: (outcome) => tries.inc({ outcome }),
    observe(outcome, durationMs) {
      tries.inc({ outcome });
      durations.observe({ outcome }, durationMs / 1_000);
    },
  };
}
