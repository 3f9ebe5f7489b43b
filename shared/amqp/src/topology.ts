import { AmqpError } from "./errors.ts";
import {
  activityExchange,
  controlExchange,
  deadExchange,
  deadQueue,
  jobQueue,
  jobsExchange,
  unroutableExchange,
  unroutableQueue,
} from "./names.ts";

type ArgumentValue = string | number | boolean;

export interface Exchange {
  readonly name: string;
  readonly type: "direct" | "topic" | "fanout";
  readonly arguments: Readonly<Record<string, ArgumentValue>>;
}

export interface Queue {
  readonly name: string;
  readonly arguments: Readonly<Record<string, ArgumentValue>>;
}

export interface Binding {
  readonly exchange: string;
  readonly queue: string;
  readonly routingKey: string;
}

/** From one exchange to another: what matches at the first is offered to the bindings of the second. */
export interface ExchangeBinding {
  readonly exchange: string;
  readonly toExchange: string;
  readonly routingKey: string;
}

/** What a service needs in the broker, as data. Everything in it is durable. */
export interface Topology {
  readonly exchanges: readonly Exchange[];
  readonly queues: readonly Queue[];
  readonly bindings: readonly Binding[];
  /** Default none. */
  readonly exchangeBindings?: readonly ExchangeBinding[];
}

export const emptyTopology: Topology = { exchanges: [], queues: [], bindings: [] };

/**
 * Failed deliveries of one message before it is set aside; the broker's own default from 4.0 on. It bounds only what kills a
 * consumer before its claim: attempts of a job are counted in the ledger.
 */
export const defaultDeliveryLimit = 20;

/** What both jobs and events need: where dead and unroutable messages go. */
export const deadTopology: Topology = {
  exchanges: [
    { name: unroutableExchange, type: "fanout", arguments: {} },
    { name: deadExchange, type: "topic", arguments: { "alternate-exchange": unroutableExchange } },
  ],
  queues: [{ name: unroutableQueue, arguments: { "x-queue-type": "quorum" } }],
  bindings: [{ exchange: unroutableExchange, queue: unroutableQueue, routingKey: "" }],
};

/** Broadcasts among processes: hints, and what jobs do. Nobody is bound to them for longer than a connection lasts. */
export const controlTopology: Topology = {
  exchanges: [
    { name: controlExchange, type: "fanout", arguments: {} },
    { name: activityExchange, type: "topic", arguments: {} },
  ],
  queues: [],
  bindings: [],
};

export interface JobsTopologyOptions {
  /** Short names of Warren queues; with none, what a producer owns remains. */
  readonly queues: readonly string[];
}

/**
 * The exchanges of jobs and dead letters, and for each queue its quorum queue and dead-letter queue. Dead letters travel
 * at-least-once, which needs `x-overflow: reject-publish`; the queues have no length limit, so nothing is ever rejected by it.
 */
export function jobsTopology({ queues }: JobsTopologyOptions): Topology {
  return {
    exchanges: [
      ...deadTopology.exchanges,
      { name: jobsExchange, type: "direct", arguments: { "alternate-exchange": unroutableExchange } },
    ],
    queues: [
      ...deadTopology.queues,
      ...queues.flatMap((queue): Queue[] => [
        { name: deadQueue(queue), arguments: { "x-queue-type": "quorum" } },
        {
          name: jobQueue(queue),
          arguments: {
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": deadExchange,
            "x-dead-letter-routing-key": queue,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delivery-limit": defaultDeliveryLimit,
          },
        },
      ]),
    ],
    bindings: [
      ...deadTopology.bindings,
      ...queues.flatMap((queue): Binding[] => [
        { exchange: deadExchange, queue: deadQueue(queue), routingKey: queue },
        { exchange: jobsExchange, queue: jobQueue(queue), routingKey: queue },
      ]),
    ],
  };
}

/** The union. The same object may be named twice; with different arguments it is an error (`AMQP_TOPOLOGY_CONFLICT`). */
export function mergeTopologies(...topologies: readonly Topology[]): Topology {
  return {
    exchanges: unite(
      "exchange",
      topologies.flatMap((topology) => topology.exchanges),
    ),
    queues: unite(
      "queue",
      topologies.flatMap((topology) => topology.queues),
    ),
    bindings: distinct(topologies.flatMap(({ bindings }) => bindings)),
    exchangeBindings: distinct(topologies.flatMap(({ exchangeBindings = [] }) => exchangeBindings)),
  };
}

function distinct<T extends Binding | ExchangeBinding>(bindings: readonly T[]): readonly T[] {
  const keyOf = (binding: T): string =>
    JSON.stringify([
      binding.exchange,
      "queue" in binding ? binding.queue : "",
      "toExchange" in binding ? binding.toExchange : "",
      binding.routingKey,
    ]);
  return [...new Map(bindings.map((binding) => [keyOf(binding), binding])).values()];
}

function unite<T extends Exchange | Queue>(object: "exchange" | "queue", items: readonly T[]): readonly T[] {
  const byName = new Map<string, T>();
  for (const item of items) {
    const earlier = byName.get(item.name);
    if (earlier === undefined) byName.set(item.name, item);
    else if (shape(earlier) !== shape(item)) {
      throw new AmqpError(
        "AMQP_TOPOLOGY_CONFLICT",
        `${object} ${item.name} is declared twice, as ${shape(earlier)} and as ${shape(item)}`,
        { details: { object, name: item.name } },
      );
    }
  }
  return [...byName.values()];
}

function shape(item: Exchange | Queue): string {
  const entries = Object.entries(item.arguments).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ ...("type" in item ? { type: item.type } : {}), ...Object.fromEntries(entries) });
}
