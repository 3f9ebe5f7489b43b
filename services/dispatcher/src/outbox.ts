import { type AmqpSession, deadExchange, eventsExchange, PublishError, type Publisher } from "@warren/amqp";
import type { Ledger, OutboxEvent } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import type { Found } from "./loop.ts";
import { canPublish } from "./release.ts";

export interface OutboxOptions {
  readonly ledger: Pick<Ledger, "events" | "recordDeadLetter">;
  readonly session: Pick<AmqpSession, "state">;
  readonly publisher: Pick<Publisher, "publish">;
  readonly log: Logger;
  readonly metrics: Metrics;
}

const eventsPerRound = 1_000;
const keysPerRound = 100;
const eventsPerKey = 100;
/** Below the outbox's lease of 10 s, so that no event is under way when another dispatcher takes it. */
const budgetMs = 8_000;

type Sent = "sent" | "failed";

/**
 * Publishes events that were written in a transaction. An event is forgotten after the broker has confirmed it: a relay killed in between doubles
 * the message, under the same message id, and never loses it. Events of one ordering key go one after the other.
 */
export function relayOutbox({ ledger, session, publisher, log, metrics }: OutboxOptions): () => Promise<Found> {
  const { outbox } = ledger.events;
  const relayed = metrics.counter({
    name: "warren_outbox_events_total",
    help: "Events of the outbox by what became of them: sent, failed (tried again), or dead (can never be sent)",
    labels: ["outcome"],
  });
  const oldest = metrics
    .gauge({
      name: "warren_outbox_oldest_seconds",
      help: "How long the oldest unsent event has waited; 0 without one",
      labels: [],
    })
    .child({});

  async function send(event: OutboxEvent, deadlineMs: number): Promise<Sent> {
    try {
      await publisher.publish({
        exchange: event.topic === "dead" ? deadExchange : eventsExchange,
        routingKey: event.type,
        body: Buffer.from(event.body),
        messageId: event.eventId,
        type: event.type,
        headers: event.headers,
        deadlineMs,
        onUnrouted: () => undefined,
        ...(event.correlationId === undefined || Buffer.byteLength(event.correlationId) > 255
          ? {}
          : { correlationId: event.correlationId }),
      });
      relayed.inc({ outcome: "sent" });
      return "sent";
    } catch (error) {
      if (error instanceof PublishError && error.code === "AMQP_MESSAGE_INVALID") return setAside(event, error);
      relayed.inc({ outcome: "failed" });
      log.warn({ eventId: event.eventId, event: event.type, err: error }, "event not sent; it is tried again");
      return "failed";
    }
  }

  /** What can never be written to the wire must not be tried for ever, nor block its key. */
  async function setAside(event: OutboxEvent, error: PublishError): Promise<Sent> {
    log.error(
      { eventId: event.eventId, event: event.type, err: error },
      "event can never be sent; kept as a dead letter",
    );
    await ledger.recordDeadLetter({
      messageId: event.eventId,
      queue: "outbox",
      reason: error.code,
      headers: event.headers,
      body: Buffer.from(event.body),
      jobIds: [],
    });
    relayed.inc({ outcome: "dead" });
    return "sent";
  }

  async function sendFree(): Promise<number> {
    const events = await outbox.takeFree({ limit: eventsPerRound });
    const fates = await Promise.all(events.map((event) => send(event, budgetMs)));
    await outbox.sent(events.filter((_, index) => fates[index] === "sent").map(({ position }) => position));
    return events.length;
  }

  async function sendOrdered(): Promise<number> {
    const takenAt = performance.now();
    const events = await outbox.takeOrdered({ keys: keysPerRound, perKey: eventsPerKey });
    const lines = [...Map.groupBy(events, ({ orderingKey }) => orderingKey).values()];
    const counts = await Promise.all(lines.map((line) => sendLine(line, takenAt)));
    return counts.reduce((sum, sent) => sum + sent, 0);
  }

  /** One after the other: a later event must not overtake one that failed. */
  async function sendLine(line: readonly OutboxEvent[], takenAt: number): Promise<number> {
    const sent: string[] = [];
    for (const event of line) {
      const leftMs = budgetMs - (performance.now() - takenAt);
      if (leftMs < 1 || (await send(event, leftMs)) === "failed") break;
      sent.push(event.position);
    }
    await outbox.sent(sent);
    // after a failure the broker may still get the message that was not confirmed: the rest waits for the lease to end
    return sent.length;
  }

  return async () => {
    // what is taken while nothing can be published only waits for its lease to end
    const counts = canPublish(session) ? await Promise.all([sendFree(), sendOrdered()]) : [];
    oldest.set((await outbox.oldestMs()) / 1_000);
    return counts.some((count) => count > 0) ? "busy" : "idle";
  };
}
