import { setTimeout as sleep } from "node:timers/promises";
import {
  type Delivery,
  deadEventKey,
  deadExchange,
  type OutgoingMessage,
  PublishError,
  type Publisher,
  retryExchange,
  retryKey,
} from "@warren/amqp";
import { WarrenError } from "@warren/contracts";
import type { Logger } from "@warren/observability";
import { describeFailure } from "../attempts/failure.ts";
import type { Subscription } from "./subscribe.ts";
import type { EventVerdict } from "./verdict.ts";
import {
  type Attributes,
  attemptHeader,
  carriedHeaders,
  errorHeader,
  reasonHeader,
  replayHeader,
  sendingId,
} from "./wire.ts";

export interface OnwardOptions {
  readonly publisher: Pick<Publisher, "publish">;
  /** Makes ladder, exchanges and queues exist again, after one turned out to be missing. */
  readonly redeclare: () => Promise<unknown>;
  readonly log: Logger;
  readonly random: () => number;
  /** Aborts when the subscriber is let go: what is not confirmed by then is delivered again. */
  readonly signal: AbortSignal;
}

/** Sends an event on, up the ladder or to the dead, and acknowledges it after the broker has confirmed that: it is always in one of both. */
export interface Onward {
  /** Never rejects. */
  send(delivery: Delivery, message: OutgoingMessage): Promise<void>;
}

const firstPauseMs = 100;
const longestPauseMs = 5_000;

export function createOnward({ publisher, redeclare, log, random, signal }: OnwardOptions): Onward {
  async function isSent(message: OutgoingMessage): Promise<boolean | "never"> {
    try {
      await publisher.publish(message);
      return true;
    } catch (error) {
      log.warn({ messageId: message.messageId, err: error }, "an event was not sent on yet");
      if (!(error instanceof PublishError)) throw error;
      if (error.code === "AMQP_UNROUTABLE") await redeclare().catch(() => undefined);
      return error.retryable || error.code === "AMQP_CLOSED" ? false : "never";
    }
  }

  return {
    async send(delivery, message) {
      for (let pauseMs = firstPauseMs; !signal.aborted; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
        const sent = await isSent(message);
        if (sent === true) delivery.ack();
        // cannot be written by us: the broker's own dead-lettering keeps it
        if (sent === "never") delivery.reject();
        if (sent !== false) return;
        await sleep(pauseMs * (0.5 + random()), undefined, { signal }).catch(() => undefined);
      }
    },
  };
}

type Sending = Extract<EventVerdict, { readonly kind: "retry" | "dead" }>;

/**
 * The message that carries an event on after a verdict; `sending` names this sending. A dead event's id follows from what it is, so that a
 * doubled one becomes one dead letter. Pure.
 */
export function onwardMessage(
  { service, name }: Pick<Subscription, "service" | "name">,
  delivery: Pick<Delivery, "headers" | "body" | "contentType" | "correlationId">,
  attributes: Attributes,
  verdict: Sending,
  sending: string,
): OutgoingMessage {
  const own: Readonly<Record<string, string>> =
    attributes.replayOf === undefined ? {} : { [replayHeader]: attributes.replayOf };
  const { body, contentType, correlationId } = delivery;
  const id = attributes.id ?? "unknown";
  const base = { body, contentType, correlationId };
  if (verdict.kind === "retry") {
    return {
      ...base,
      exchange: retryExchange,
      routingKey: retryKey(verdict.delayMs, service, name),
      messageId: sendingId(id, sending),
      headers: carriedHeaders(delivery.headers, attributes, { ...own, [attemptHeader]: verdict.attempt }),
    };
  }
  const { code, message } = describeFailure(verdict.error);
  const lineage = attributes.replayOf === undefined ? "" : `/${attributes.replayOf}`;
  return {
    ...base,
    exchange: deadExchange,
    routingKey: deadEventKey(service, name),
    messageId: sendingId(id, `${service}.${name}/dead/${attributes.attempt}${lineage}`),
    headers: carriedHeaders(delivery.headers, attributes, {
      ...own,
      [attemptHeader]: attributes.attempt,
      [reasonHeader]: verdict.reason,
      [errorHeader]: `${verdict.error instanceof WarrenError ? code : "EVENT_FAILED"}: ${message}`,
    }),
  };
}
