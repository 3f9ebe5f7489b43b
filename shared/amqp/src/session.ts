import type { Channel, ConfirmChannel } from "amqplib";
import { Broadcast, type Listener, type ListenOptions } from "./broadcast.ts";
import { withChannel, withConfirmChannel } from "./channels.ts";
import { Connection, type ConnectionState } from "./connection.ts";
import { type ConsumeOptions, type Consumer, ManagedConsumer } from "./consumer.ts";
import { AmqpError, replyCode, type TopologyMismatchError } from "./errors.ts";
import type { AmqpLog } from "./log.ts";
import { type AmqpInstruments, type AmqpMetrics, createInstruments } from "./metrics.ts";
import { type ResolvedSessionOptions, resolvePublisherOptions, resolveSessionOptions } from "./options.ts";
import { ConfirmedPublisher, type Publisher, type PublisherOptions } from "./publisher.ts";
import type { Topology } from "./topology.ts";
import { TopologyKeeper, type TopologyState } from "./topology-keeper.ts";
import { Waiters } from "./waiters.ts";

export interface SessionOptions {
  /** `amqp://` or `amqps://`; several brokers of one cluster are tried in turn. */
  readonly urls: readonly string[];
  /** The service's name, shown in RabbitMQ's list of connections as `name:publish` and `name:consume`. */
  readonly name: string;
  readonly log: AmqpLog;
  readonly metrics?: AmqpMetrics | undefined;
  /**
   * Default 5: a peer that is silently gone is noticed after two to three of them, so that messages which a frozen process holds reach
   * others within the lease of its jobs. A blocked event loop costs a reconnect, and nothing else.
   */
  readonly heartbeatSeconds?: number | undefined;
  /**
   * Called when a reconnect finds the broker's topology changed (`AMQP_TOPOLOGY_MISMATCH`): the process should say so and end.
   * Default: only the log and `state()` tell.
   */
  readonly onFatal?: ((error: TopologyMismatchError) => void) | undefined;
  /** For tests. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
  /** For tests. Default the wall clock. */
  readonly now?: (() => Date) | undefined;
}

export interface SessionState {
  readonly publish: ConnectionState;
  readonly consume: ConnectionState;
  readonly topology: TopologyState;
}

export interface QueueDepth {
  /** Ready messages: neither delivered nor expired. */
  readonly messages: number;
  readonly consumers: number;
}

/** Two connections to the broker, one for publishing and one for all else, kept alive; and what runs over them. */
export interface AmqpSession extends AsyncDisposable {
  publisher(options?: PublisherOptions): Publisher;
  /** Keeps a subscription alive until it is disposed. Resolves at once; `consumer.consuming()` waits for the broker. */
  consume(options: ConsumeOptions): Promise<Consumer>;
  /** Hears broadcasts in a queue of its own, which goes with the connection. Never misses one while it is connected; see `Listener`. */
  listen(options: ListenOptions): Listener;
  /**
   * Asserts now and on every new connection; adds to what was declared before. `pending`: the broker is away, and it will be asserted
   * when it is back. Rejects with `TopologyMismatchError` or `AmqpError` (`AMQP_DECLARE_FAILED`).
   */
  declare(topology: Topology): Promise<"asserted" | "pending">;
  /** `undefined` if the queue does not exist. Rejects with `AMQP_NOT_CONNECTED` while the broker is away. */
  depth(queue: string): Promise<QueueDepth | undefined>;
  state(): SessionState;
  /** Calls back after every change of state; answers how to stop that. The listener must not throw. */
  onChange(listener: (state: SessionState) => void): () => void;
  /** Resolves when both connections stand. Rejects when the signal aborts, or with `AMQP_CLOSED`. */
  connected(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Lends a raw amqplib channel of the consume connection, which no alarm blocks. */
  withChannel<T>(use: (channel: Channel) => Promise<T>): Promise<T>;
  /** Lends a raw confirm channel of the publish connection. */
  withConfirmChannel<T>(use: (channel: ConfirmChannel) => Promise<T>): Promise<T>;
}

/**
 * Opens a session. It does not need the broker to be up: connecting goes on in the background, with backoff, for as long as the
 * session lives. Rejects only for wrong options (`AMQP_OPTION_INVALID`).
 */
export async function openSession(options: SessionOptions): Promise<AmqpSession> {
  const session = new Session(resolveSessionOptions(options));
  session.open();
  return session;
}

class Session implements AmqpSession {
  readonly #options: ResolvedSessionOptions;
  readonly #instruments: AmqpInstruments;
  readonly #publish: Connection;
  readonly #consume: Connection;
  readonly #topology: TopologyKeeper;
  readonly #listeners = new Set<(state: SessionState) => void>();
  readonly #waiters = new Waiters();
  readonly #held = new Set<AsyncDisposable>();
  #closing: Promise<void> | undefined;

  constructor(options: ResolvedSessionOptions) {
    this.#options = options;
    this.#instruments = createInstruments(options.metrics);
    this.#publish = new Connection({ ...options, name: `${options.name}:publish` });
    this.#consume = new Connection({ ...options, name: `${options.name}:consume` });
    this.#topology = new TopologyKeeper({
      connection: this.#consume,
      log: options.log,
      random: options.random,
      onFatal: options.onFatal,
      onChange: () => this.#changed(),
    });
  }

  open(): void {
    for (const [role, connection] of [["publish", this.#publish] as const, ["consume", this.#consume] as const]) {
      this.#instruments.connection(role, "connecting");
      connection.onChange((state) => {
        this.#instruments.connection(role, state.kind);
        this.#changed();
      });
      connection.open();
    }
  }

  publisher(options: PublisherOptions = {}): Publisher {
    this.#refuseClosed();
    return this.#hold(
      new ConfirmedPublisher(
        {
          connection: this.#publish,
          log: this.#options.log,
          instruments: this.#instruments,
          random: this.#options.random,
          mendTopology: () => this.#topology.mend(),
          onDisposed: (held) => this.#held.delete(held),
        },
        resolvePublisherOptions(options),
      ),
    );
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    this.#refuseClosed();
    return this.#hold(
      new ManagedConsumer(
        {
          connection: this.#consume,
          log: this.#options.log,
          instruments: this.#instruments.consumer(options.queue),
          random: this.#options.random,
          now: this.#options.now,
          topologyReady: () => this.#topology.ready(),
          mendTopology: () => this.#topology.mend(),
          onDisposed: (held) => this.#held.delete(held),
        },
        options,
      ),
    );
  }

  listen(options: ListenOptions): Listener {
    this.#refuseClosed();
    return this.#hold(
      new Broadcast(
        {
          connection: this.#consume,
          log: this.#options.log,
          random: this.#options.random,
          topologyReady: () => this.#topology.ready(),
          mendTopology: () => this.#topology.mend(),
          onDisposed: (held) => this.#held.delete(held),
        },
        options,
      ),
    );
  }

  async declare(topology: Topology): Promise<"asserted" | "pending"> {
    this.#refuseClosed();
    return await this.#topology.declare(topology);
  }

  async depth(queue: string): Promise<QueueDepth | undefined> {
    try {
      const { messageCount, consumerCount } = await this.withChannel((channel) => channel.checkQueue(queue));
      return { messages: messageCount, consumers: consumerCount };
    } catch (error) {
      if (replyCode(error) === 404) return undefined;
      throw error;
    }
  }

  state(): SessionState {
    return { publish: this.#publish.state, consume: this.#consume.state, topology: this.#topology.state };
  }

  onChange(listener: (state: SessionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  connected({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#waiters.until(() => {
      const standing = this.#publish.model !== undefined && this.#consume.model !== undefined;
      if (!standing) this.#refuseClosed();
      return standing;
    }, signal);
  }

  async withChannel<T>(use: (channel: Channel) => Promise<T>): Promise<T> {
    return await withChannel(this.#model(this.#consume), use);
  }

  async withConfirmChannel<T>(use: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
    return await withConfirmChannel(this.#model(this.#publish), use);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#topology.close();
    await Promise.all([...this.#held].map((held) => held[Symbol.asyncDispose]()));
    await Promise.all([this.#publish[Symbol.asyncDispose](), this.#consume[Symbol.asyncDispose]()]);
    this.#changed();
    this.#listeners.clear();
  }

  #hold<T extends AsyncDisposable>(held: T): T {
    this.#held.add(held);
    return held;
  }

  #model(connection: Connection): NonNullable<Connection["model"]> {
    this.#refuseClosed();
    if (connection.model !== undefined) return connection.model;
    const { state } = connection;
    const reason = state.kind === "connecting" && state.error !== undefined ? `: ${state.error}` : "";
    throw new AmqpError("AMQP_NOT_CONNECTED", `no connection to the broker${reason}`, { retryable: true });
  }

  #refuseClosed(): void {
    if (this.#closing !== undefined) throw closedError();
  }

  #changed(): void {
    this.#waiters.wake();
    if (this.#listeners.size === 0) return;
    const state = this.state();
    for (const listener of this.#listeners) listener(state);
  }
}

function closedError(): AmqpError {
  return new AmqpError("AMQP_CLOSED", "the session is closed");
}
