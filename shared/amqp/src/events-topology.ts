import { AmqpError } from "./errors.ts";
import {
  deadEventsQueue,
  deadExchange,
  eventQueue,
  eventsExchange,
  retryBackExchange,
  retryExchange,
  retryQueue,
  rungName,
  unroutableExchange,
} from "./names.ts";
import { type Binding, deadTopology, defaultDeliveryLimit, type Queue, type Topology } from "./topology.ts";

/** Delays of the retry ladder unless a subscriber names others: 1 s, 5 s, 30 s, 2 min, 10 min, 1 h. */
export const defaultLadderMs: readonly number[] = [1_000, 5_000, 30_000, 120_000, 600_000, 3_600_000];

/** Routing key on `warren.dead` under which the ledger announces dead jobs of a queue. */
const deadJobsPattern = "job.dead.*";

export interface SubscriptionTopology {
  readonly name: string;
  /** Event types, or patterns with `*` (one word) and `#` (any number of words). */
  readonly patterns: readonly string[];
}

export interface EventsTopologyOptions {
  /** The service whose subscriptions these are. */
  readonly service?: string;
  /** Default none: what a publisher and the dispatcher need remains. */
  readonly subscriptions?: readonly SubscriptionTopology[];
  /** Delays of the rungs that the subscriptions use, in milliseconds. Default `defaultLadderMs`. */
  readonly ladderMs?: readonly number[];
}

/** The routing key that sends an event up the ladder and, after the rung's delay, back to this subscription alone. */
export function retryKey(delayMs: number, service: string, subscription: string): string {
  return `${rungName(delayMs)}.${service}.${subscription}`;
}

/** The routing key of a subscription's dead events on `warren.dead`. */
export function deadEventKey(service: string, subscription: string): string {
  return `event.${service}.${subscription}`;
}

/**
 * The exchange of events, a quorum queue for each subscription, and the retry ladder: one queue a delay with one TTL, so that nothing
 * waits behind a longer delay. What comes down from it goes back to the one subscription that failed; if that is gone, to
 * `warren.unroutable`, or 32 such messages would stop a rung for all (rabbitmq.md §1). Neither the ladder nor the subscriptions
 * have a length limit, so `reject-publish`, which at-least-once dead-lettering needs, never rejects.
 * @throws AmqpError `AMQP_OPTION_INVALID` when subscriptions are named without their service.
 */
export function eventsTopology(options: EventsTopologyOptions = {}): Topology {
  const { service, subscriptions = [], ladderMs = defaultLadderMs } = options;
  const own = subscriptions.map(({ name, patterns }) => {
    if (service === undefined) {
      throw new AmqpError("AMQP_OPTION_INVALID", "service: expected the name of the service that subscribes", {
        details: { option: "service" },
      });
    }
    return { service, name, patterns, queue: eventQueue(service, name) };
  });
  const rungs = own.length === 0 ? [] : [...new Set(ladderMs)];
  return {
    exchanges: [
      ...deadTopology.exchanges,
      { name: eventsExchange, type: "topic", arguments: {} },
      // no alternate: a missing rung must come back to the subscriber, who still holds the event
      { name: retryExchange, type: "topic", arguments: {} },
      { name: retryBackExchange, type: "topic", arguments: { "alternate-exchange": unroutableExchange } },
    ],
    queues: [
      ...deadTopology.queues,
      { name: deadEventsQueue, arguments: { "x-queue-type": "quorum" } },
      ...rungs.map(
        (delayMs): Queue => ({
          name: retryQueue(delayMs),
          arguments: { ...deadLettering(retryBackExchange), "x-message-ttl": delayMs },
        }),
      ),
      ...own.map(
        ({ service, name, queue }): Queue => ({
          name: queue,
          arguments: {
            ...deadLettering(deadExchange),
            "x-dead-letter-routing-key": deadEventKey(service, name),
            "x-delivery-limit": defaultDeliveryLimit,
          },
        }),
      ),
    ],
    bindings: [
      ...deadTopology.bindings,
      { exchange: deadExchange, queue: deadEventsQueue, routingKey: deadEventKey("*", "*") },
      ...rungs.map(
        (delayMs): Binding => ({
          exchange: retryExchange,
          queue: retryQueue(delayMs),
          routingKey: retryKey(delayMs, "*", "*"),
        }),
      ),
      ...own.flatMap(({ service, name, patterns, queue }): Binding[] => [
        ...patterns.map((routingKey) => ({ exchange: eventsExchange, queue, routingKey })),
        { exchange: retryBackExchange, queue, routingKey: `*.${service}.${name}` },
      ]),
    ],
    // keeps announcements that nobody subscribed to from counting as unroutable, and lets anybody subscribe to them as to any event
    exchangeBindings: [{ exchange: deadExchange, toExchange: eventsExchange, routingKey: deadJobsPattern }],
  };
}

function deadLettering(exchange: string): Queue["arguments"] {
  return {
    "x-queue-type": "quorum",
    "x-dead-letter-exchange": exchange,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
  };
}
