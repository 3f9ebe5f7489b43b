import type { ConfirmChannel, Message } from "amqplib";
import { Backoff } from "./backoff.ts";
import { closeQuietly, ownChannel } from "./channels.ts";
import type { Connection } from "./connection.ts";
import { replyCode } from "./errors.ts";
import type { AmqpLog } from "./log.ts";

export interface PublishingChannelOptions {
  readonly connection: Connection;
  readonly log: AmqpLog;
  readonly random: () => number;
  /** Asserts the session's topology again, after the broker missed an exchange. Never rejects. */
  readonly mendTopology: () => Promise<void>;
  /** A channel has just been opened, or the broker takes messages again. */
  readonly onWritable: () => void;
  readonly onConfirm: (deliveryTag: number, multiple: boolean, accepted: boolean) => void;
  readonly onReturn: (message: Message) => void;
  /** The channel is gone, by this error if the broker closed it. Another one follows. */
  readonly onLost: (error: Error | undefined) => void;
}

/** Keeps one confirm channel open on the present connection, until it is closed. */
export class PublishingChannel {
  readonly #options: PublishingChannelOptions;
  readonly #backoff: Backoff;
  readonly #unsubscribe: () => void;
  #channel: ConfirmChannel | undefined;
  #error: Error | undefined;
  #opening = false;
  #closed = false;
  #reopenTimer: NodeJS.Timeout | undefined;

  constructor(options: PublishingChannelOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: 100, capMs: 5_000, random: options.random });
    this.#unsubscribe = options.connection.onChange((state) => {
      if (state.kind !== "connected") return;
      if (this.#channel === undefined) this.#reopenAfter(0);
      else options.onWritable();
    });
    if (options.connection.model !== undefined) this.#reopenAfter(0);
  }

  get current(): ConfirmChannel | undefined {
    return this.#channel;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unsubscribe();
    clearTimeout(this.#reopenTimer);
    const channel = this.#channel;
    this.#channel = undefined;
    if (channel !== undefined) await closeQuietly(channel);
  }

  #reopenAfter(delayMs: number): void {
    clearTimeout(this.#reopenTimer);
    this.#reopenTimer = setTimeout(() => void this.#open(), delayMs);
  }

  /** Never rejects: a failure is tried again, unless the connection is gone. */
  async #open(): Promise<void> {
    const { connection, log, onReturn, onWritable } = this.#options;
    const model = connection.model;
    if (model === undefined || this.#opening || this.#channel !== undefined || this.#closed) return;
    this.#opening = true;
    try {
      const channel = await model.createConfirmChannel();
      ownChannel(channel, {
        onError: (error) => this.#failed(channel, error),
        onClose: () => this.#lost(channel),
      });
      if (this.#isClosed() || connection.model !== model) {
        await closeQuietly(channel);
        return;
      }
      channel.on("return", onReturn);
      channel.on("ack", ({ deliveryTag, multiple }) => this.#confirmed(deliveryTag, multiple, true));
      channel.on("nack", ({ deliveryTag, multiple }) => this.#confirmed(deliveryTag, multiple, false));
      this.#channel = channel;
      onWritable();
    } catch (error) {
      log.warn({ err: error }, "could not open a channel for publishing");
    } finally {
      this.#opening = false;
    }
    // The connection may have been replaced while the channel was being opened.
    if (this.#channel === undefined && !this.#isClosed() && connection.model !== undefined) {
      this.#reopenAfter(this.#backoff.nextMs());
    }
  }

  /** Read through a method: it may have been closed during an `await`. */
  #isClosed(): boolean {
    return this.#closed;
  }

  #confirmed(deliveryTag: number, multiple: boolean, accepted: boolean): void {
    this.#backoff.succeeded();
    this.#options.onConfirm(deliveryTag, multiple, accepted);
  }

  #failed(channel: ConfirmChannel, error: Error): void {
    if (this.#channel !== channel) return;
    this.#error = error;
    this.#options.log.warn({ err: error }, "the broker closed the publishing channel; it is rebuilt");
  }

  #lost(channel: ConfirmChannel): void {
    if (this.#channel !== channel) return;
    const error = this.#error;
    this.#channel = undefined;
    this.#error = undefined;
    this.#options.onLost(error);
    if (error === undefined) this.#reopenAfter(0);
    else if (replyCode(error) === 404)
      void this.#options.mendTopology().then(() => this.#reopenAfter(this.#backoff.nextMs()));
    else this.#reopenAfter(this.#backoff.nextMs());
  }
}
