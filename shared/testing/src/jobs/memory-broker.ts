import {
  type AmqpSession,
  type ConsumeOptions,
  type Delivery,
  deadEventKey,
  deadExchange,
  eventQueue,
  type OutgoingMessage,
  retryExchange,
  retryKey,
} from "@warren/amqp";
import { matchesPattern, type Subscription } from "@warren/jobs";
import type { NewOutboxEvent } from "@warren/ledger";

type Message = Pick<Delivery, "messageId" | "body" | "headers" | "routingKey" | "correlationId" | "type">;

/** An event that a subscriber has given up. */
export interface DeadTestEvent {
  /** `<service>.<subscription>`. */
  readonly subscription: string;
  readonly type: string;
  /** A code, such as `EVENT_ATTEMPTS_EXHAUSTED`. */
  readonly reason: string;
  /** Code and message of the last error. */
  readonly error: string;
}

/** The little of a broker that events need: routing to subscriptions, the retry ladder by the fake clock, and the dead. */
export interface MemoryBroker {
  readonly session: Pick<AmqpSession, "consume" | "declare" | "publisher">;
  readonly dead: readonly DeadTestEvent[];
  /** Delivers an event to whoever subscribed. Answers to how many. */
  route(event: NewOutboxEvent): number;
  /** Delivers one that has climbed its rung. Answers how many. */
  deliverNextDue(): number;
  /** When the next one has. */
  nextDueAt(): number | undefined;
}

export function createMemoryBroker(subscriptions: readonly Subscription[], now: () => number): MemoryBroker {
  const consumers = new Map<string, ConsumeOptions["onMessage"]>();
  const dead: DeadTestEvent[] = [];
  let parked: { readonly dueAt: number; readonly queue: string; readonly message: Message }[] = [];

  function deliver(queue: string, message: Message): void {
    const delivery: Delivery = {
      ...message,
      exchange: "warren.events",
      redelivered: false,
      contentType: "application/json",
      deliveryCount: 0,
      settled: false,
      ack: () => undefined,
      reject: () => undefined,
      requeue: () => deliver(queue, message),
    };
    void consumers.get(queue)?.(delivery);
  }

  async function publish({ exchange, routingKey, body, headers = {}, messageId, correlationId }: OutgoingMessage) {
    const message: Message = { messageId, body, headers, routingKey, correlationId, type: undefined };
    for (const subscription of subscriptions) {
      const { service, name, ladderMs, id } = subscription;
      const rung = ladderMs.find((delayMs) => retryKey(delayMs, service, name) === routingKey);
      if (exchange === retryExchange && rung !== undefined) {
        parked.push({ dueAt: now() + rung, queue: queueOf(subscription), message });
        return;
      }
      if (exchange === deadExchange && routingKey === deadEventKey(service, name)) {
        const text = (header: string): string => String(headers[header]);
        const [type, reason, error] = [
          text("cloudEvents_type"),
          text("x-warren-reason"),
          text("x-warren-error"),
        ] as const;
        dead.push({ subscription: id, type, reason, error });
        return;
      }
    }
    throw new RangeError(`nobody takes ${exchange} ${routingKey}`);
  }

  return {
    dead,
    session: {
      declare: async () => "asserted",
      publisher: () => ({
        ...publisherParts,
        publish,
      }),
      async consume({ queue, onMessage }) {
        consumers.set(queue, onMessage);
        return {
          queue,
          state: () => ({ kind: "consuming" }) as never,
          consuming: async () => undefined,
          quiet: async () => void consumers.delete(queue),
          resume: async () => void consumers.set(queue, onMessage),
          drain: async () => true,
          unsettled: 0,
          [Symbol.asyncDispose]: async () => void consumers.delete(queue),
        };
      },
    },
    route({ eventId, type, headers, body, correlationId }) {
      const wanting = subscriptions.filter(({ patterns }) => patterns.some((one) => matchesPattern(one, type)));
      const message = { messageId: eventId, body: Buffer.from(body), headers, routingKey: type, correlationId, type };
      for (const subscription of wanting) deliver(queueOf(subscription), message);
      return wanting.length;
    },
    deliverNextDue() {
      const next = parked.find(({ dueAt }) => dueAt <= now());
      if (next === undefined) return 0;
      parked = parked.filter((one) => one !== next);
      deliver(next.queue, next.message);
      return 1;
    },
    nextDueAt: () => (parked.length === 0 ? undefined : Math.min(...parked.map(({ dueAt }) => dueAt))),
  };
}

const queueOf = ({ service, name }: Subscription): string => eventQueue(service, name);

const publisherParts = {
  quiet: () => undefined,
  drain: async () => true,
  unsettled: 0,
  [Symbol.asyncDispose]: async () => undefined,
};
