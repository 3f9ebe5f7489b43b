import type { Metrics } from "@warren/observability";
import type { ConnectionState } from "./connection.ts";

/** What this room needs of `createMetrics()`. */
export type AmqpMetrics = Pick<Metrics, "counter" | "gauge">;

type Role = "publish" | "consume";

export interface ConsumerInstruments {
  delivered(): void;
  staleSettled(): void;
  resubscribed(): void;
}

/** The figures of one session. Counted per frame from the broker, not per message. */
export interface AmqpInstruments {
  confirmed(count: number): void;
  returned(): void;
  republished(count: number): void;
  failed(code: string): void;
  inFlightChanged(by: number): void;
  consumer(queue: string): ConsumerInstruments;
  connection(role: Role, state: ConnectionState["kind"]): void;
}

const stateKinds = ["connecting", "connected", "blocked"] as const;

export function createInstruments(metrics: AmqpMetrics | undefined): AmqpInstruments {
  if (metrics === undefined) return silent;
  const confirmed = metrics
    .counter({ name: "warren_amqp_confirmed_total", help: "Messages that the broker confirmed", labels: [] })
    .child({});
  const returned = metrics
    .counter({ name: "warren_amqp_returned_total", help: "Messages that no queue took", labels: [] })
    .child({});
  const republished = metrics
    .counter({
      name: "warren_amqp_republished_total",
      help: "Messages published again under their id after a lost channel",
      labels: [],
    })
    .child({});
  const failed = metrics.counter({
    name: "warren_amqp_publish_failures_total",
    help: "Publishes that were given up, by error code",
    labels: ["code"],
  });
  const inFlight = metrics
    .gauge({ name: "warren_amqp_in_flight", help: "Messages written and not yet confirmed", labels: [] })
    .child({});
  const delivered = metrics.counter({
    name: "warren_amqp_delivered_total",
    help: "Messages handed to consumers",
    labels: ["queue"],
  });
  const stale = metrics.counter({
    name: "warren_amqp_stale_redeliveries_total",
    help: "Redeliveries settled without running, because their first delivery had been settled on a lost channel",
    labels: ["queue"],
  });
  const resubscribed = metrics.counter({
    name: "warren_amqp_resubscriptions_total",
    help: "Times a consumer lost its channel or was cancelled and subscribed anew",
    labels: ["queue"],
  });
  const state = metrics.gauge({
    name: "warren_amqp_connection_state",
    help: "1 for the state that the connection is in",
    labels: ["role", "state"],
  });
  return {
    confirmed: (count) => confirmed.inc(count),
    returned: () => returned.inc(),
    republished: (count) => republished.inc(count),
    failed: (code) => failed.inc({ code }),
    inFlightChanged: (by) => inFlight.inc(by),
    consumer: (queue) => {
      const [taken, known, again] = [delivered, stale, resubscribed].map((counter) => counter.child({ queue }));
      return {
        delivered: () => taken?.inc(),
        staleSettled: () => known?.inc(),
        resubscribed: () => again?.inc(),
      };
    },
    connection: (role, kind) => {
      for (const known of stateKinds) state.set({ role, state: known }, known === kind ? 1 : 0);
    },
  };
}

const nothing = (): void => undefined;
const silent: AmqpInstruments = {
  confirmed: nothing,
  returned: nothing,
  republished: nothing,
  failed: nothing,
  inFlightChanged: nothing,
  consumer: () => ({ delivered: nothing, staleSettled: nothing, resubscribed: nothing }),
  connection: nothing,
};
