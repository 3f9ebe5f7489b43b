import type { Metrics } from "@warren/observability";

/** Counts what became of deliveries. */
export interface DeliveryMetrics {
  count(channel: string, outcome: string): void;
}

export function createDeliveryMetrics(metrics: Metrics): DeliveryMetrics {
  const deliveries = metrics.counter({
    name: "warren_deliveries_total",
    help: "Tries of deliveries by outcome: accepted, rejected, deferred, unknown; and those not tried: accepted_before, held, given_up",
    labels: ["channel", "outcome"],
  });
  return { count: (channel, outcome) => deliveries.inc({ channel, outcome }) };
}
