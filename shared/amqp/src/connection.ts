import { setTimeout as sleep } from "node:timers/promises";
import { type AmqpConnectionManager, connect } from "amqp-connection-manager";
import type { ChannelModel } from "amqplib";
import { Backoff } from "./backoff.ts";
import type { AmqpLog } from "./log.ts";
import { corkWrites, socketOf } from "./wire.ts";

export type ConnectionState =
  /** Not connected; tries by itself. `error` is why the last attempt failed or the last connection ended. */
  | { readonly kind: "connecting"; readonly since: Date; readonly error?: string }
  | { readonly kind: "connected"; readonly since: Date }
  /** The broker takes no messages: a memory or disk alarm. Publishing pauses, consuming goes on. */
  | { readonly kind: "blocked"; readonly since: Date; readonly reason: string }
  | { readonly kind: "closed" };

export interface ConnectionOptions {
  readonly urls: readonly string[];
  /** Shown in RabbitMQ's list of connections. */
  readonly name: string;
  readonly heartbeatSeconds: number;
  readonly log: AmqpLog;
  readonly random: () => number;
  readonly now: () => Date;
}

const firstReconnectMs = 200;
const capReconnectMs = 5_000;
const connectTimeoutMs = 5_000;
const closeTimeoutMs = 2_000;

/**
 * One connection to one of several brokers, made and remade by amqp-connection-manager, with backoff and jitter. It gives out raw
 * amqplib connections and knows nothing of channels.
 */
export class Connection implements AsyncDisposable {
  readonly #options: ConnectionOptions;
  readonly #backoff: Backoff;
  readonly #listeners = new Set<(state: ConnectionState) => void>();
  /** Settles when the first attempt has succeeded or failed. */
  readonly attempted: Promise<void>;
  #attemptMade: () => void = () => undefined;
  #manager: AmqpConnectionManager | undefined;
  #model: ChannelModel | undefined;
  #state: ConnectionState;
  #closing: Promise<void> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: firstReconnectMs, capMs: capReconnectMs, random: options.random });
    this.#state = { kind: "connecting", since: options.now() };
    this.attempted = new Promise((resolve) => {
      this.#attemptMade = resolve;
    });
  }

  /** Begins to connect, in the background, and never gives up. */
  open(): void {
    const { urls, name, heartbeatSeconds } = this.#options;
    const manager = connect([...urls], {
      heartbeatIntervalInSeconds: heartbeatSeconds,
      reconnectTimeInSeconds: this.#nextDelaySeconds(),
      connectionOptions: {
        noDelay: true,
        keepAlive: true,
        timeout: connectTimeoutMs,
        clientProperties: { connection_name: name },
      },
    });
    this.#manager = manager;
    manager.on("connect", () => this.#up(manager));
    manager.on("connectFailed", ({ err }) => this.#down(err));
    manager.on("disconnect", ({ err }) => this.#down(err));
    manager.on("blocked", ({ reason }) => {
      this.#options.log.warn({ connection: name, reason }, "the broker blocks publishing");
      this.#enter({ kind: "blocked", since: this.#options.now(), reason });
    });
    manager.on("unblocked", () => {
      this.#options.log.info({ connection: name }, "the broker takes messages again");
      this.#enter({ kind: "connected", since: this.#options.now() });
    });
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The raw connection, while there is one. */
  get model(): ChannelModel | undefined {
    return this.#model;
  }

  /** Calls back at every change of state; answers how to stop that. Listeners must not throw. */
  onChange(listener: (state: ConnectionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #up(manager: AmqpConnectionManager): void {
    const model = manager.connection;
    if (model === undefined || this.#closing !== undefined) return;
    const { log, name, now } = this.#options;
    this.#model = model;
    this.#backoff.succeeded();
    if (!corkWrites(model)) log.warn({ connection: name }, "amqplib's writes cannot be corked; throughput is lower");
    log.info({ connection: name }, "connected to the broker");
    this.#enter({ kind: "connected", since: now() });
    this.#attemptMade();
  }

  #down(error: Error | undefined): void {
    const lost = this.#model;
    this.#model = undefined;
    // A peer that is gone without a word never answers our FIN: without this the socket would live for many minutes.
    if (lost !== undefined) socketOf(lost)?.destroy();
    if (this.#closing !== undefined) return;
    const { log, name, now } = this.#options;
    const delaySeconds = this.#nextDelaySeconds();
    // The manager reads this field after its event, when it starts to wait.
    if (this.#manager !== undefined) this.#manager.reconnectTimeInSeconds = delaySeconds;
    const reason = describe(error);
    log.warn({ connection: name, error: reason, retryInMs: Math.round(delaySeconds * 1_000) }, "no broker connection");
    this.#enter({ kind: "connecting", since: lost === undefined ? sinceOf(this.#state, now) : now(), error: reason });
    this.#attemptMade();
  }

  #enter(state: ConnectionState): void {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }

  #nextDelaySeconds(): number {
    return this.#backoff.nextMs() / 1_000;
  }

  async #close(): Promise<void> {
    const manager = this.#manager;
    const model = this.#model;
    let answered = true;
    if (manager !== undefined) {
      manager.reconnectTimeInSeconds = 0;
      const closed = manager.close().then(
        () => true,
        () => true,
      );
      answered = await Promise.race([closed, sleep(closeTimeoutMs, false, { ref: false })]);
    }
    this.#model = undefined;
    // A half-open peer never answers. Only an error makes amqplib give up: it ends the heartbeats and rejects calls under way.
    const silence = answered ? undefined : new Error("the broker did not answer the closing of the connection");
    if (model !== undefined) socketOf(model)?.destroy(silence);
    this.#enter({ kind: "closed" });
    this.#attemptMade();
    this.#listeners.clear();
  }
}

/** Never the URL: it carries the password. */
function describe(error: Error | undefined): string {
  if (error === undefined) return "the connection was closed";
  if (error.message !== "") return error.message;
  return "code" in error ? String(error.code) : error.name;
}

function sinceOf(state: ConnectionState, now: () => Date): Date {
  return state.kind === "connecting" ? state.since : now();
}
