import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Channel, ConsumeMessage } from "amqplib";
import { Backoff } from "./backoff.ts";
import { closeQuietly, ownChannel } from "./channels.ts";
import type { Connection } from "./connection.ts";
import { replyCode } from "./errors.ts";
import type { AmqpLog } from "./log.ts";
import { Waiters } from "./waiters.ts";

export interface BroadcastBinding {
  readonly exchange: string;
  readonly routingKey: string;
}

export interface BroadcastMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly body: Buffer;
}

export interface ListenOptions {
  /** Begins the queue's name, for whoever looks at the broker: `warren.control`. */
  readonly name: string;
  readonly bindings: readonly BroadcastBinding[];
  /** A throw is logged; the message is gone either way. */
  readonly onMessage: (message: BroadcastMessage) => void;
  /** It listens, for the first time or again. What was sent before is lost: look at the truth now. Must not throw. */
  readonly onListening?: (() => void) | undefined;
}

/** Hears what is broadcast while it is connected, and nothing of what was before. */
export interface Listener extends AsyncDisposable {
  /** Resolves when the broker has accepted it, or at once if it listens. Rejects when the signal aborts. */
  listening(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Hears this too from now on, on this connection and the next ones. Never rejects: what fails is tried again with the next channel. */
  bind(binding: BroadcastBinding): Promise<void>;
  unbind(binding: BroadcastBinding): Promise<void>;
}

export interface BroadcastHost {
  readonly connection: Connection;
  readonly log: AmqpLog;
  readonly random: () => number;
  readonly topologyReady: () => Promise<void>;
  readonly mendTopology: () => Promise<void>;
  readonly onDisposed: (listener: AsyncDisposable) => void;
}

/** A listener that falls behind loses the oldest messages: they are hints, and must not fill the broker's memory. */
const longestBacklog = 20_000;
const answerTimeoutMs = 2_000;

/** A queue of its own for each process and connection: exclusive, gone with the connection, never acknowledged. */
export class Broadcast implements Listener {
  readonly #host: BroadcastHost;
  readonly #options: ListenOptions;
  readonly #backoff: Backoff;
  readonly #bindings = new Map<string, BroadcastBinding>();
  readonly #waiters = new Waiters();
  readonly #unsubscribe: () => void;
  #open: { readonly channel: Channel; readonly queue: string } | undefined;
  #opening: Promise<void> | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(host: BroadcastHost, options: ListenOptions) {
    this.#host = host;
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: 100, capMs: 5_000, random: host.random });
    for (const binding of options.bindings) this.#bindings.set(keyOf(binding), binding);
    this.#unsubscribe = host.connection.onChange((state) => {
      if (state.kind === "connected") this.#kick();
    });
    this.#kick();
  }

  listening({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#waiters.until(() => this.#open !== undefined, signal);
  }

  async bind(binding: BroadcastBinding): Promise<void> {
    this.#bindings.set(keyOf(binding), binding);
    await this.#attempt(({ channel, queue }) => channel.bindQueue(queue, binding.exchange, binding.routingKey));
  }

  async unbind(binding: BroadcastBinding): Promise<void> {
    this.#bindings.delete(keyOf(binding));
    await this.#attempt(({ channel, queue }) => channel.unbindQueue(queue, binding.exchange, binding.routingKey));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#unsubscribe();
      clearTimeout(this.#retryTimer);
    }
    await Promise.race([this.#opening, sleep(answerTimeoutMs, undefined, { ref: false })]);
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) await closeQuietly(open.channel);
    this.#host.onDisposed(this);
  }

  async #attempt(call: (open: { readonly channel: Channel; readonly queue: string }) => Promise<unknown>) {
    const open = this.#open;
    if (open === undefined) return;
    try {
      await call(open);
    } catch (error) {
      // the channel is gone, and the next one binds everything
      this.#host.log.debug({ queue: open.queue, err: error }, "binding left to the next channel");
    }
  }

  #kick(): void {
    clearTimeout(this.#retryTimer);
    if (this.#closed || this.#open !== undefined) return;
    this.#opening ??= this.#listen().finally(() => {
      this.#opening = undefined;
    });
  }

  /** Never rejects. */
  async #listen(): Promise<void> {
    const { model } = this.#host.connection;
    if (model === undefined) return;
    let channel: Channel | undefined;
    try {
      await this.#host.topologyReady();
      const made = await model.createChannel();
      channel = made;
      ownChannel(made, {
        onError: (error) => this.#host.log.warn({ err: error }, "the broker closed a listener's channel"),
        onClose: () => this.#lost(made),
      });
      const name = `${this.#options.name}.${randomUUID()}`;
      const { queue } = await made.assertQueue(name, {
        exclusive: true,
        autoDelete: true,
        durable: false,
        arguments: { "x-max-length": longestBacklog },
      });
      for (const { exchange, routingKey } of this.#bindings.values()) await made.bindQueue(queue, exchange, routingKey);
      await made.consume(queue, (message) => this.#received(made, message), { noAck: true, exclusive: true });
      if (this.#closed || this.#host.connection.model !== model) {
        await closeQuietly(made);
        return;
      }
      this.#open = { channel: made, queue };
      this.#backoff.succeeded();
    } catch (error) {
      if (channel !== undefined) await closeQuietly(channel);
      if (this.#closed) return;
      this.#host.log.warn({ err: error, name: this.#options.name }, "could not listen; trying again");
      if (replyCode(error) === 404) await this.#host.mendTopology();
      this.#retryAfter(this.#backoff.nextMs());
      return;
    }
    this.#waiters.wake();
    this.#options.onListening?.();
  }

  #received(channel: Channel, message: ConsumeMessage | null): void {
    if (message === null) {
      // the broker cancelled it: its queue is gone
      void closeQuietly(channel);
      return;
    }
    const { exchange, routingKey } = message.fields;
    try {
      this.#options.onMessage({ exchange, routingKey, body: message.content });
    } catch (error) {
      this.#host.log.error({ err: error, exchange, routingKey }, "a listener failed");
    }
  }

  #lost(channel: Channel): void {
    if (this.#open?.channel !== channel) return;
    this.#open = undefined;
    this.#retryAfter(this.#backoff.nextMs());
  }

  #retryAfter(delayMs: number): void {
    clearTimeout(this.#retryTimer);
    if (!this.#closed) this.#retryTimer = setTimeout(() => this.#kick(), delayMs);
  }
}

const keyOf = ({ exchange, routingKey }: BroadcastBinding): string => `${exchange} ${routingKey}`;
