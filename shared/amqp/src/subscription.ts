import { randomUUID } from "node:crypto";
import type { ConsumeMessage } from "amqplib";
import { closeQuietly, ownChannel } from "./channels.ts";
import type { Connection } from "./connection.ts";
import type { Line } from "./line.ts";
import type { AmqpLog } from "./log.ts";
import type { Receiver } from "./receiver.ts";

export interface SubscriptionOptions {
  readonly queue: string;
  readonly connection: Pick<Connection, "model">;
  readonly receiver: Receiver;
  readonly log: AmqpLog;
  /** The broker delivers no more, unasked; `lastedMs` after it was asked to. */
  readonly interrupted: (interruption: { readonly reason: string; readonly lastedMs: number }) => void;
}

/** What the broker knows of a consumer: one channel at a time, and on it one consumer tag at a time, each used once. */
export class Subscription {
  readonly #options: SubscriptionOptions;
  #line: Line | undefined;
  #sinceMs = 0;
  #channelError: Error | undefined;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
  }

  /** The broker delivers, or has been asked to. */
  get active(): boolean {
    return this.#line?.consumerTag !== undefined;
  }

  /** Answers whether the broker delivers now. */
  async begin(prefetch: number): Promise<boolean> {
    const line = this.#line ?? (await this.#openLine());
    if (line === undefined) return false;
    // A fresh tag each time: the broker may still hold the old one, and reusing it would close the connection (530).
    const consumerTag = `warren-${randomUUID()}`;
    line.consumerTag = consumerTag;
    this.#sinceMs = performance.now();
    const onMessage = (message: ConsumeMessage | null): void => {
      if (message === null) this.#cancelled(line, consumerTag);
      else this.#options.receiver.receive(line, message);
    };
    try {
      line.widen(prefetch);
      await line.channel.prefetch(prefetch);
      await line.channel.consume(this.#options.queue, onMessage, { consumerTag });
    } catch (error) {
      line.consumerTag = undefined;
      throw error;
    }
    return !line.lost && line.consumerTag === consumerTag;
  }

  /** What was delivered can still be settled. */
  async end(): Promise<void> {
    const line = this.#line;
    const tag = line?.consumerTag;
    if (line === undefined || tag === undefined) return;
    await line.channel.cancel(tag);
    line.consumerTag = undefined;
    line.release();
  }

  /** Closes the channel; what was settled on it is sent first. */
  async close(): Promise<void> {
    if (this.#line === undefined) return;
    this.#line.flush();
    await closeQuietly(this.#line.channel);
  }

  async #openLine(): Promise<Line | undefined> {
    const channel = await this.#options.connection.model?.createChannel();
    if (channel === undefined) return undefined;
    const line = this.#options.receiver.line(channel);
    ownChannel(channel, {
      onError: (error) => {
        this.#channelError = error;
      },
      onClose: () => this.#lost(line),
    });
    this.#line = line;
    return line;
  }

  /** The broker cancelled the subscription: its queue was deleted, moved, or a handler was too slow (4.3). */
  #cancelled(line: Line, consumerTag: string): void {
    if (line.consumerTag !== consumerTag) return;
    line.consumerTag = undefined;
    const { log, queue } = this.#options;
    log.warn({ queue }, "the broker cancelled the consumer; it subscribes anew");
    // Without this the broker keeps the old subscription (4.3); on a deleted queue it is harmless.
    line.channel.cancel(consumerTag).catch(() => undefined);
    this.#interrupted("the broker cancelled the consumer");
  }

  #lost(line: Line): void {
    const { log, queue, receiver } = this.#options;
    receiver.lost(line);
    const error = this.#channelError;
    this.#channelError = undefined;
    if (this.#line !== line) return;
    this.#line = undefined;
    if (error !== undefined) log.warn({ queue, err: error }, "the broker closed the consumer's channel");
    this.#interrupted(error?.message ?? "the channel was closed");
  }

  #interrupted(reason: string): void {
    this.#options.interrupted({ reason, lastedMs: performance.now() - this.#sinceMs });
  }
}
