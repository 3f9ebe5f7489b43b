import type { Delivery } from "@warren/amqp";
import { jobMessage } from "@warren/contracts";
import type { DeadLetter } from "@warren/ledger";

/** What is read of a delivery. */
export type LetterDelivery = Pick<Delivery, "messageId" | "headers" | "exchange" | "routingKey" | "body">;

/** A dead letter out of a message of a dead queue. Tolerant: whatever it is, it is kept. Pure. */
export function readDeadLetter(queue: string, delivery: LetterDelivery): DeadLetter {
  return { ...readLetter(queue, delivery), reason: reasonOf(delivery.headers) };
}

/** The same for a message that no queue took: it names the routing key as its queue. Pure. */
export function readUnroutable(delivery: LetterDelivery): DeadLetter {
  return { ...readLetter(delivery.routingKey, delivery), reason: "unroutable" };
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
