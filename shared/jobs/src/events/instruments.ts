import {
  type CounterChild,
  type GaugeChild,
  type HistogramChild,
  jobBuckets,
  type Metrics,
} from "@warren/observability";
import type { Subscription } from "./subscribe.ts";

/** What became of a delivery, as a metric label. */
type HandledOutcome = "handled" | "duplicate" | "retried" | "snoozed" | "dead" | "returned";

/** The metrics of one subscription; series are looked up once. */
export interface SubscriptionInstruments {
  handled(event: string, outcome: HandledOutcome): void;
  ran(event: string, seconds: number): void;
  readonly running: GaugeChild;
  readonly waiting: GaugeChild;
}

export function createSubscriptionInstruments(
  metrics: Metrics,
  { id }: Pick<Subscription, "id">,
): SubscriptionInstruments {
  const outcomes = metrics.counter({
    name: "warren_events_handled_total",
    help: "Deliveries of events by what became of them",
    labels: ["subscription", "event", "outcome"],
  });
  const runs = metrics.histogram({
    name: "warren_event_run_seconds",
    help: "Run time of event handlers, failed ones included",
    labels: ["subscription", "event"],
    buckets: jobBuckets,
  });
  const gauge = (name: string, help: string) => metrics.gauge({ name, help, labels: ["subscription"] });
  const counters = new Map<string, Map<HandledOutcome, CounterChild>>();
  const histograms = new Map<string, HistogramChild>();

  return {
    handled(event, outcome) {
      const known = counters.get(event) ?? new Map<HandledOutcome, CounterChild>();
      counters.set(event, known);
      const counter = known.get(outcome) ?? outcomes.child({ subscription: id, event, outcome });
      known.set(outcome, counter);
      counter.inc();
    },
    ran(event, seconds) {
      const histogram = histograms.get(event) ?? runs.child({ subscription: id, event });
      histograms.set(event, histogram);
      histogram.observe(seconds);
    },
    running: gauge("warren_subscription_running", "Event handlers that run now").child({ subscription: id }),
    waiting: gauge("warren_subscription_waiting", "Events received and not yet handed to a handler").child({
      subscription: id,
    }),
  };
}
