import { deadEventsQueue, eventsTopology } from "@warren/amqp";
import { z } from "zod";
import { defineEvent } from "../src/events/define.ts";
import type { Subscription } from "../src/events/subscribe.ts";
import { createSubscriber, type Subscriber, type SubscriberOptions } from "../src/events/subscriber.ts";
import { type Bench, openBench } from "./fixture.ts";

export const orderCreated = defineEvent({
  type: "orders.created",
  schema: z.object({ orderId: z.string(), total: z.number() }),
});
export const orderPaid = defineEvent({ type: "orders.paid", schema: z.object({ orderId: z.string() }) });

/** Short rungs, so that a test may climb the ladder. */
export const shortLadderMs = [50, 150] as const;

export interface EventBench extends Bench {
  /** Starts a subscriber; disposed with the bench. */
  subscriber(subscriptions: readonly Subscription[], options?: Partial<SubscriberOptions>): Promise<Subscriber>;
  /** Dead events in the broker, taken out. */
  takeDead(): Promise<{ readonly headers: Record<string, unknown>; readonly body: string } | undefined>;
}

export async function openEventBench(options: Parameters<typeof openBench>[0] = {}): Promise<EventBench> {
  const bench = await openBench(options);
  const subscribers: Subscriber[] = [];
  await bench.session.connected();
  await bench.session.declare(eventsTopology());
  return {
    ...bench,
    async subscriber(subscriptions, more = {}) {
      const { session, ledger, metrics, log } = bench;
      const subscriber = createSubscriber({ session, ledger, metrics, log: log.logger, subscriptions, ...more });
      subscribers.push(subscriber);
      await subscriber.start();
      return subscriber;
    },
    takeDead: () =>
      bench.session.withChannel(async (channel) => {
        const message = await channel.get(deadEventsQueue, { noAck: true });
        if (message === false) return undefined;
        return { headers: { ...message.properties.headers }, body: message.content.toString() };
      }),
    async [Symbol.asyncDispose]() {
      for (const subscriber of subscribers) await subscriber[Symbol.asyncDispose]();
      await bench[Symbol.asyncDispose]();
    },
  };
}
