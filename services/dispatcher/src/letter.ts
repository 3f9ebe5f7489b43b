import { type Delivery, retryBackExchange } from "@warren/amqp";
import { jobMessage } from "@warren/contracts";
import type { DeadLetter } from "@warren/ledger";

/** What is read of a delivery. */
export type LetterDelivery = Pick<
  Delivery,
  "messageId" | "headers" | "exchange" | "routingKey" | "body" | "correlationId"
>;

/** A dead letter out of a message of a dead queue. Tolerant: whatever it is, it is kept. Pure. */
export function readDeadLetter(queue: string, delivery: LetterDelivery): DeadLetter {
  return { ...readLetter(queue, delivery), reason: reasonOf(delivery.headers) };
}

/** A dead event: given up by a subscriber, which says why in our headers, or by the broker in a subscription's queue. Pure. */
export function readDeadEvent(delivery: LetterDelivery): DeadLetter {
  const { headers, routingKey } = delivery;
  const reason = text(headers["x-warren-reason"]) ?? reasonOf(headers);
  return { ...readEventLetter(routingKey.replace(/^event\./, ""), delivery), reason };
}

function readEventLetter(subscription: string, delivery: LetterDelivery) {
  const { headers, messageId } = delivery;
  return {
    ...readLetter(`warren.events.${subscription}`, delivery),
    // its data may look like anything, also like a job message
    jobIds: [],
    death: headers["x-death"] ?? headers["x-warren-death"],
    event: {
      subscription,
      id: text(headers["cloudEvents_id"]) ?? text(headers["cloudEvents:id"]) ?? messageId,
      type: text(headers["cloudEvents_type"]) ?? text(headers["cloudEvents:type"]),
      correlationId: delivery.correlationId,
    },
  };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/**
 * The same for a message that no queue took: it names the routing key as its queue. An event that came down the retry ladder and found its
 * subscription gone is that subscription's dead event, to be replayed when the subscription is back. Pure.
 */
export function readUnroutable(delivery: LetterDelivery): DeadLetter {
  const subscription =
    delivery.exchange === retryBackExchange ? delivery.routingKey.replace(/^[^.]*\./, "") : undefined;
  const letter =
    subscription === undefined ? readLetter(delivery.routingKey, delivery) : readEventLetter(subscription, delivery);
  return { ...letter, reason: "unroutable" };
}

function readLetter(queue: string, { messageId, headers, exchange, routingKey, body }: LetterDelivery) {
  return { messageId, queue, exchange, routingKey, death: headers["x-death"], headers, body, jobIds: jobsOf(body) };
}

/** RabbitMQ's newest death comes first. Source: https://www.rabbitmq.com/docs/dlx#effects */
function reasonOf(headers: Readonly<Record<string, unknown>>): string {
  const deaths = headers["x-death"];
  const newest: unknown = Array.isArray(deaths) ? deaths[0] : undefined;
  const reason: unknown = typeof newest === "object" && newest !== null ? Reflect.get(newest, "reason") : undefined;
  const first = headers["x-first-death-reason"];
  if (typeof reason === "string") return reason;
  return typeof first === "string" ? first : "unknown";
}

function jobsOf(body: Buffer): readonly string[] {
  try {
    const parsed = jobMessage.safeParse(JSON.parse(body.toString("utf8")));
    return parsed.success ? parsed.data.jobs : [];
  } catch {
    return [];
  }
}
