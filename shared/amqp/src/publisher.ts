import type { Connection } from "./connection.ts";
import { Fifo } from "./fifo.ts";
import { Idle } from "./idle.ts";
import { InFlight } from "./in-flight.ts";
import type { AmqpLog } from "./log.ts";
import type { AmqpInstruments } from "./metrics.ts";
import { type Failure, Outgoing, type OutgoingMessage } from "./outgoing.ts";
import { PublishingChannel } from "./publishing-channel.ts";

export interface PublisherOptions {
  /** Messages written and not yet confirmed; more wait. Default 1000. */
  readonly maxInFlight?: number;
  /** Bytes of bodies written and not yet confirmed. Default 16 MiB. */
  readonly maxInFlightBytes?: number;
  /** Default deadline of a message, from `publish` to its confirm. Default 10 s. */
  readonly deadlineMs?: number;
  /** The largest body taken. Default 16 MiB, what RabbitMQ 4 takes. */
  readonly maxBodyBytes?: number;
}

export interface Publisher extends AsyncDisposable {
  /**
   * Resolves when the broker has confirmed the message **and** routed it. Messages that a lost connection left unconfirmed are
   * published again under the same id, so a consumer may see one twice. Rejects with `PublishError`: `AMQP_UNROUTABLE`,
   * `AMQP_PUBLISH_TIMEOUT` (outcome unknown), `AMQP_NACKED`, `AMQP_MESSAGE_INVALID`, `AMQP_CHANNEL_ERROR`, `AMQP_CLOSED`.
   */
  publish(message: OutgoingMessage): Promise<void>;
  /** Takes no more: later publishes reject with `AMQP_CLOSED`. */
  quiet(): void;
  /** Waits until every publish is settled, or the signal aborts. Answers whether all are. */
  drain(deadline: AbortSignal): Promise<boolean>;
  /** Publishes that are not settled: waiting and in flight. */
  readonly unsettled: number;
}

export interface PublisherHost {
  readonly connection: Connection;
  readonly log: AmqpLog;
  readonly instruments: AmqpInstruments;
  readonly random: () => number;
  /** Asserts the session's topology again, after the broker missed an exchange. Never rejects. */
  readonly mendTopology: () => Promise<void>;
  readonly onDisposed: (publisher: AsyncDisposable) => void;
}

const sweepMs = 50;

/** Publishes over one confirm channel at a time; a lost one is replaced, and what it had not confirmed is written again. */
export class ConfirmedPublisher implements Publisher {
  readonly #host: PublisherHost;
  readonly #options: Required<PublisherOptions>;
  readonly #waiting = new Fifo<Outgoing>();
  readonly #inFlight = new InFlight();
  readonly #idle = new Idle();
  readonly #channel: PublishingChannel;
  #reportedInFlight = 0;
  #earliestDeadlineMs = Number.POSITIVE_INFINITY;
  #sweeper: NodeJS.Timeout | undefined;
  #phase: "open" | "quiet" | "closed" = "open";

  constructor(host: PublisherHost, options: Required<PublisherOptions>) {
    this.#host = host;
    this.#options = options;
    this.#channel = new PublishingChannel({
      ...host,
      onWritable: () => this.#pump(),
      onConfirm: (deliveryTag, multiple, accepted) => this.#confirmed(deliveryTag, multiple, accepted),
      onReturn: (message) => this.#inFlight.returned(message),
      onLost: (error) => this.#lost(error),
    });
  }

  get unsettled(): number {
    return this.#idle.busy;
  }

  publish(message: OutgoingMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      const deadlineAtMs = performance.now() + (message.deadlineMs ?? this.#options.deadlineMs);
      const outgoing = new Outgoing(message, deadlineAtMs, resolve, reject);
      this.#idle.enter();
      if (this.#phase !== "open") {
        this.#fail(outgoing, "AMQP_CLOSED", "the publisher takes no more", { retryable: false });
      } else if (message.body.length > this.#options.maxBodyBytes) {
        const text = `the body of ${message.body.length} bytes is over the limit of ${this.#options.maxBodyBytes}`;
        this.#fail(outgoing, "AMQP_MESSAGE_INVALID", text, { retryable: false });
      } else {
        if (deadlineAtMs < this.#earliestDeadlineMs) this.#earliestDeadlineMs = deadlineAtMs;
        this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs);
        if (this.#waiting.size > 0 || !this.#mayWrite() || !this.#write(outgoing)) this.#waiting.push(outgoing);
      }
    });
  }

  quiet(): void {
    if (this.#phase === "open") this.#phase = "quiet";
  }

  drain(deadline: AbortSignal): Promise<boolean> {
    return this.#idle.wait(deadline);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    const channelClosed = this.#channel.close();
    for (const outgoing of this.#inFlight.clear()) this.#close(outgoing);
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) this.#close(next);
    this.#sweep();
    this.#host.onDisposed(this);
    await channelClosed;
  }

  #mayWrite(): boolean {
    return (
      this.#channel.current !== undefined &&
      this.#inFlight.size < this.#options.maxInFlight &&
      (this.#inFlight.bytes < this.#options.maxInFlightBytes || this.#inFlight.size === 0) &&
      this.#host.connection.state.kind === "connected"
    );
  }

  #pump(): void {
    for (let next = this.#waiting.peek(); next !== undefined && this.#mayWrite(); next = this.#waiting.peek()) {
      if (!next.settled && !this.#write(next)) return;
      this.#waiting.shift();
    }
  }

  /** Writes to the channel; `false` if the channel turns out to be gone. A message that cannot be encoded fails alone. */
  #write(outgoing: Outgoing): boolean {
    const { exchange, routingKey, body } = outgoing.message;
    try {
      this.#channel.current?.publish(exchange, routingKey, body, outgoing.options);
    } catch (error) {
      if (error instanceof Error && error.name === "IllegalOperationError") return false;
      const text = error instanceof Error ? error.message : String(error);
      this.#fail(outgoing, "AMQP_MESSAGE_INVALID", `cannot be encoded: ${text}`, { retryable: false, cause: error });
      return true;
    }
    if (outgoing.sent) this.#host.instruments.republished(1);
    outgoing.sent = true;
    this.#inFlight.written(outgoing);
    return true;
  }

  #confirmed(deliveryTag: number, multiple: boolean, accepted: boolean): void {
    const count = this.#inFlight.confirm(deliveryTag, multiple, (outgoing, returned) => {
      this.#conclude(outgoing, accepted, returned);
    });
    if (accepted) this.#host.instruments.confirmed(count);
    this.#pump();
    this.#reportInFlight();
  }

  #conclude(outgoing: Outgoing, accepted: boolean, returned: boolean): void {
    if (returned) this.#host.instruments.returned();
    if (outgoing.settled) return;
    if (!accepted) this.#fail(outgoing, "AMQP_NACKED", "the broker refused it", { retryable: true });
    else if (returned && outgoing.message.onUnrouted === undefined)
      this.#fail(outgoing, "AMQP_UNROUTABLE", "no queue is bound for it", { retryable: true });
    else {
      if (returned) outgoing.message.onUnrouted?.();
      outgoing.succeed();
      this.#idle.leave();
    }
  }

  /** The channel is gone: what it had not confirmed goes back to the head of the line, in order. */
  #lost(error: Error | undefined): void {
    const again: Outgoing[] = [];
    for (const outgoing of this.#inFlight.clear()) {
      const guilt = error === undefined || outgoing.settled ? undefined : outgoing.guilt(error);
      if (guilt !== undefined) this.#fail(outgoing, ...guilt);
      else if (!outgoing.settled) again.push(outgoing);
    }
    this.#waiting.prepend(again);
    this.#reportInFlight();
  }

  /** Fails what is over its deadline. One timer for all; it rests while nothing is due. */
  #sweep(): void {
    if (this.#idle.busy === 0) {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
      this.#earliestDeadlineMs = Number.POSITIVE_INFINITY;
    }
    this.#reportInFlight();
    const now = performance.now();
    if (now < this.#earliestDeadlineMs) return;
    let earliest = Number.POSITIVE_INFINITY;
    const check = (outgoing: Outgoing): void => {
      if (outgoing.settled) return;
      if (outgoing.deadlineAtMs > now) earliest = Math.min(earliest, outgoing.deadlineAtMs);
      else this.#fail(outgoing, "AMQP_PUBLISH_TIMEOUT", this.#whyLate(outgoing), { retryable: true });
    };
    for (const outgoing of this.#inFlight.all()) check(outgoing);
    this.#waiting.retain((outgoing) => {
      check(outgoing);
      return !outgoing.settled;
    });
    this.#earliestDeadlineMs = earliest;
  }

  #whyLate(outgoing: Outgoing): string {
    const state = this.#host.connection.state;
    if (state.kind === "blocked") return `the broker blocks publishing (${state.reason})`;
    if (state.kind !== "connected") return "no connection to the broker";
    return outgoing.sent ? "the broker did not confirm it in time" : "its turn did not come in time";
  }

  #close(outgoing: Outgoing): void {
    if (!outgoing.settled) this.#fail(outgoing, "AMQP_CLOSED", "the publisher was closed", { retryable: false });
  }

  #fail(outgoing: Outgoing, ...reason: Failure): void {
    this.#host.instruments.failed(reason[0]);
    outgoing.fail(...reason);
    this.#idle.leave();
  }

  #reportInFlight(): void {
    const change = this.#inFlight.size - this.#reportedInFlight;
    if (change === 0) return;
    this.#reportedInFlight = this.#inFlight.size;
    this.#host.instruments.inFlightChanged(change);
  }
}
