import type { Channel, ConsumeMessage } from "amqplib";
import { type Delivery, ReceivedDelivery } from "./delivery.ts";
import { Idle } from "./idle.ts";
import { Line } from "./line.ts";
import type { AmqpLog } from "./log.ts";
import type { ConsumerInstruments } from "./metrics.ts";
import { Redeliveries } from "./redeliveries.ts";

export interface ReceiverOptions {
  readonly queue: string;
  readonly prefetch: number;
  readonly onMessage: (delivery: Delivery) => void | Promise<void>;
  readonly log: AmqpLog;
  readonly instruments: ConsumerInstruments;
}

const requeueDelayMs = 1_000;

/**
 * What a consumer does with the messages of all its channels, one after another: hands each to the handler once, and knows those
 * that come again because their channel was lost.
 */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #redeliveries: Redeliveries;
  readonly #idle = new Idle();

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#redeliveries = new Redeliveries(options.prefetch);
  }

  /** Deliveries that are not settled. */
  get unsettled(): number {
    return this.#idle.busy;
  }

  drain(deadline: AbortSignal): Promise<boolean> {
    return this.#idle.wait(deadline);
  }

  line(channel: Channel): Line {
    const line: Line = new Line(channel, {
      late: (delivery, verdict) => this.#redeliveries.settledLate(delivery, verdict),
      mayRequeue: () => mayRequeue(line),
      settled: () => this.#idle.leave(),
    });
    return line;
  }

  receive(line: Line, message: ConsumeMessage): void {
    const known = this.#redeliveries.recognise(line, message);
    if (known.kind === "running") return;
    const delivery = new ReceivedDelivery(message, line);
    line.deliver(delivery);
    this.#idle.enter();
    if (known.kind === "settled") {
      this.#options.instruments.staleSettled();
      if (known.verdict === "reject") delivery.reject();
      else delivery.ack();
      return;
    }
    this.#options.instruments.delivered();
    try {
      const outcome = this.#options.onMessage(delivery);
      if (outcome instanceof Promise) outcome.catch((error: unknown) => this.#handlerFailed(delivery, error));
    } catch (error) {
      this.#handlerFailed(delivery, error);
    }
  }

  /** The line is gone: what was settled on it is remembered, what still runs waits for its redelivery. */
  lost(line: Line): void {
    this.#redeliveries.keep(line.lose());
  }

  #handlerFailed(delivery: ReceivedDelivery, error: unknown): void {
    const { messageId, settled } = delivery;
    const { log, queue } = this.#options;
    log.error({ err: error, queue, messageId, rejected: !settled }, "the message handler failed");
    delivery.reject();
  }
}

/** While the broker delivers on it, a message that was handed back would come straight again: it is held first. */
function mayRequeue(line: Line): boolean {
  if (line.consumerTag === undefined) return true;
  setTimeout(() => line.release(), requeueDelayMs).unref();
  return false;
}
