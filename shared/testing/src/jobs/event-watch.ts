import { type AmqpSession, eventsExchange, type Publisher } from "@warren/amqp";
import { matchesPattern, type Subscription } from "@warren/jobs";

/** Knows whether published events have arrived: the broker's own counts leave out what is on its way. */
export interface EventWatch {
  /** A publisher whose events are counted. */
  publisher(publisher: Publisher): Pick<Publisher, "publish">;
  /** A session whose deliveries are counted. */
  session(session: AmqpSession): Pick<AmqpSession, "consume" | "declare" | "publisher">;
  /** How many deliveries the published events are worth so far. */
  readonly published: number;
  /** Whether every counted event has arrived at each of its subscriptions for the first time. */
  haveArrived(): boolean;
}

const attemptHeader = "x-warren-attempt";

export function createEventWatch(subscriptions: readonly Subscription[]): EventWatch {
  let expected = 0;
  let arrived = 0;
  const seen = new Set<string>();
  return {
    publisher: (publisher) => ({
      async publish(message) {
        await publisher.publish(message);
        if (message.exchange !== eventsExchange) return;
        for (const { patterns } of subscriptions)
          if (patterns.some((pattern) => matchesPattern(pattern, message.routingKey))) expected += 1;
      },
    }),
    session: (session) => ({
      declare: (topology) => session.declare(topology),
      publisher: (options) => session.publisher(options),
      consume: (options) =>
        session.consume({
          ...options,
          onMessage(delivery) {
            const name = `${options.queue} ${delivery.messageId ?? ""}`;
            const isAgain = delivery.redelivered && seen.has(name);
            if (delivery.headers[attemptHeader] === undefined && !isAgain) arrived += 1;
            seen.add(name);
            return options.onMessage(delivery);
          },
        }),
    }),
    get published() {
      return expected;
    },
    haveArrived: () => arrived >= expected,
  };
}
