import type { Options } from "amqplib";
import { PublishError, type PublishErrorCode, replyCode } from "./errors.ts";

export interface OutgoingMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Buffer;
  /**
   * Identifies this sending. The same sending keeps it when published again after a lost connection, and consumers tell a redelivery
   * by it; another sending of the same job takes a fresh one.
   */
  readonly messageId: string;
  readonly headers?: Readonly<Record<string, unknown>> | undefined;
  readonly correlationId?: string | undefined;
  readonly type?: string | undefined;
  /** Default `application/json`. */
  readonly contentType?: string | undefined;
  /** Called instead of a rejection when no queue took the message: for facts that need no listener. `publish` then resolves. */
  readonly onUnrouted?: (() => void) | undefined;
  /** Gone with a restart of the broker: for hints and news that are worth nothing later. Default: persistent. */
  readonly transient?: boolean | undefined;
  /** From `publish` to the confirm, waiting included. Default: the publisher's `deadlineMs`. */
  readonly deadlineMs?: number | undefined;
}

/** Why a publish failed, as `fail` takes it. */
export type Failure = readonly [
  code: PublishErrorCode,
  text: string,
  options: { readonly retryable: boolean; readonly cause?: unknown },
];

const channelErrorLimit = 3;
const missingExchange = /no exchange '(?<exchange>[^']*)' in vhost/;

/** One `publish` until it is settled: it waits, is in flight under a delivery tag, and may be sent again on another channel. */
export class Outgoing {
  readonly message: OutgoingMessage;
  readonly options: Options.Publish;
  readonly deadlineAtMs: number;
  readonly #resolve: () => void;
  readonly #reject: (error: PublishError) => void;
  settled = false;
  /** Written to some channel before; the next write is a republish. */
  sent = false;
  /** The broker said once that the exchange does not exist; it is declared again before the second time. */
  #missedExchange = false;
  /** Channels that the broker closed while this was in flight. */
  #channelErrors = 0;

  constructor(
    message: OutgoingMessage,
    deadlineAtMs: number,
    resolve: () => void,
    reject: (error: PublishError) => void,
  ) {
    this.message = message;
    this.deadlineAtMs = deadlineAtMs;
    this.#resolve = resolve;
    this.#reject = reject;
    this.options = {
      messageId: message.messageId,
      mandatory: true,
      deliveryMode: message.transient === true ? 1 : 2,
      contentType: message.contentType ?? "application/json",
      headers: message.headers === undefined ? undefined : withoutDeath(message.headers),
      ...(message.correlationId === undefined ? {} : { correlationId: message.correlationId }),
      ...(message.type === undefined ? {} : { type: message.type }),
    };
  }

  /**
   * Why this message, and not a neighbour, is to blame for the error by which the broker closed the channel it was in flight on, so
   * that it would take the next one down as well. `undefined`: it may go out again.
   */
  guilt(error: Error): Failure | undefined {
    if (replyCode(error) === 404) {
      if (missingExchange.exec(error.message)?.groups?.["exchange"] !== this.message.exchange) return undefined;
      if (this.#missedExchange) {
        return ["AMQP_UNROUTABLE", "the exchange does not exist", { retryable: true, cause: error }];
      }
      this.#missedExchange = true;
      return undefined;
    }
    this.#channelErrors++;
    if (this.#channelErrors < channelErrorLimit) return undefined;
    const text = `the broker closed its channel ${this.#channelErrors} times`;
    return ["AMQP_CHANNEL_ERROR", text, { retryable: false, cause: error }];
  }

  succeed(): void {
    this.settled = true;
    this.#resolve();
  }

  fail(...[code, text, options]: Failure): void {
    this.settled = true;
    const { messageId, exchange, routingKey } = this.message;
    this.#reject(
      new PublishError(
        code,
        `message ${messageId} to ${exchange === "" ? "" : `${exchange} → `}${routingKey}: ${text}`,
        {
          ...options,
          details: { messageId, exchange, routingKey },
        },
      ),
    );
  }
}

/** The copy of `x-death` that survives a republish, for whoever looks into a dead letter. */
const keptDeathHeader = "x-warren-death";

/**
 * Headers without the broker's dead-letter history: RabbitMQ up to 3.13 reads a client's `x-death` in its cycle detection and then
 * drops or wedges the message. The history itself is kept under `x-warren-death`.
 */
export function withoutDeath(headers: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (!("x-death" in headers) && !("x-first-death-queue" in headers)) return headers;
  const { "x-death": death, ...others } = headers;
  const kept = Object.entries(others).filter(([name]) => !/^x-(?:first|last)-death-/.test(name));
  return { ...Object.fromEntries(kept), ...(death === undefined ? {} : { [keptDeathHeader]: death }) };
}
