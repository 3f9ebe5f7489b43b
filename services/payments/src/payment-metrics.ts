import type { Metrics } from "@warren/observability";

/** Counts confirmed payments. */
export interface PaymentMetrics {
  count(provider: string, status: string, change: string): void;
}

export function createPaymentMetrics(metrics: Metrics): PaymentMetrics {
  const payments = metrics.counter({
    name: "warren_payments_confirmed_total",
    help: "Notifications of payments that the provider confirmed, by its status and whether that was new (recorded) or not (unchanged)",
    labels: ["provider", "status", "change"],
  });
  return { count: (provider, status, change) => payments.inc({ provider, status, change }) };
}
