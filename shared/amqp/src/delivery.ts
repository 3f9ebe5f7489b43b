import type { ConsumeMessage } from "amqplib";
import type { Settleable, Verdict } from "./ack-frontier.ts";

/**
 * One received message. Settle it once, by `ack`, `reject` or `requeue`; later calls do nothing. The settlement goes to the channel
 * that delivered it. If that channel is gone, it is remembered by message id, and the redelivery is settled so without running.
 */
export interface Delivery {
  readonly messageId: string | undefined;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly exchange: string;
  readonly routingKey: string;
  readonly redelivered: boolean;
  readonly correlationId: string | undefined;
  readonly type: string | undefined;
  readonly contentType: string | undefined;
  /** Failed deliveries before this one, as a quorum queue counts them; 0 for other queues. */
  readonly deliveryCount: number;
  readonly settled: boolean;
  /** Done with; flushed together with its neighbours' once per event-loop turn. */
  ack(): void;
  /** Never wanted again: goes to the queue's dead-letter exchange. */
  reject(): void;
  /**
   * Hands the message back to the queue. Meant for a consumer that is `quiet`; while it is still consuming, the message is held
   * for a second first, since it would come straight back.
   */
  requeue(): void;
}

/** What a delivery tells about its settlement. */
export interface Settler {
  settle(delivery: ReceivedDelivery, verdict: Verdict): void;
}

const noHeaders: Readonly<Record<string, unknown>> = Object.freeze({});

export class ReceivedDelivery implements Delivery, Settleable {
  /** The present channel's message: after a reconnect the redelivery takes the place of the first. */
  message: ConsumeMessage;
  #settler: Settler;
  #called = false;
  verdict: Verdict | undefined;
  sent = false;

  constructor(message: ConsumeMessage, settler: Settler) {
    this.message = message;
    this.#settler = settler;
  }

  /** Continues on another channel, which has delivered the same message again. */
  rebind(message: ConsumeMessage, settler: Settler): void {
    this.message = message;
    this.#settler = settler;
  }

  get messageId(): string | undefined {
    const id: unknown = this.message.properties.messageId;
    return typeof id === "string" && id !== "" ? id : undefined;
  }

  get body(): Buffer {
    return this.message.content;
  }

  get headers(): Readonly<Record<string, unknown>> {
    return this.message.properties.headers ?? noHeaders;
  }

  get exchange(): string {
    return this.message.fields.exchange;
  }

  get routingKey(): string {
    return this.message.fields.routingKey;
  }

  get redelivered(): boolean {
    return this.message.fields.redelivered;
  }

  get correlationId(): string | undefined {
    return text(this.message.properties.correlationId);
  }

  get type(): string | undefined {
    return text(this.message.properties.type);
  }

  get contentType(): string | undefined {
    return text(this.message.properties.contentType);
  }

  get deliveryCount(): number {
    const count = this.headers["x-delivery-count"];
    return typeof count === "number" ? count : 0;
  }

  get settled(): boolean {
    return this.#called;
  }

  ack(): void {
    this.#settle("ack");
  }

  reject(): void {
    this.#settle("reject");
  }

  requeue(): void {
    this.#settle("requeue");
  }

  #settle(verdict: Verdict): void {
    if (this.#called) return;
    this.#called = true;
    this.#settler.settle(this, verdict);
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
