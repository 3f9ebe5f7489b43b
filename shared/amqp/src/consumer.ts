import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import { AmqpError, replyCode } from "./errors.ts";
import type { AmqpLog } from "./log.ts";
import type { ConsumerInstruments } from "./metrics.ts";
import { Receiver } from "./receiver.ts";
import { Reconciler } from "./reconciler.ts";
import { Subscription } from "./subscription.ts";
import { Waiters } from "./waiters.ts";

export interface ConsumeOptions {
  /** The broker's name of the queue, such as `jobQueue("default")`. */
  readonly queue: string;
  /** Unsettled messages that the broker hands out at once, 1 to 65535. */
  readonly prefetch: number;
  /**
   * Called for each message in the turn in which it arrives, without waiting for the one before. Settle the delivery, now or later.
   * A throw or a rejection is logged, and the message is rejected if it is not settled yet.
   */
  readonly onMessage: (delivery: Delivery) => void | Promise<void>;
}

export type ConsumerState =
  /** Not subscribed yet, or not any more; tries by itself. */
  | { readonly kind: "subscribing"; readonly since: Date; readonly error?: string }
  | { readonly kind: "consuming"; readonly since: Date }
  | { readonly kind: "quiet" }
  | { readonly kind: "closed" };

export interface Consumer extends AsyncDisposable {
  readonly queue: string;
  state(): ConsumerState;
  /** Resolves when the broker has accepted the subscription. Rejects when the signal aborts or the consumer is closed. */
  consuming(options?: { readonly signal?: AbortSignal }): Promise<void>;
  /** Takes no more. What was received goes on and can still be settled. Resolves when the broker has agreed, or does not answer. */
  quiet(): Promise<void>;
  /** Takes again, after `quiet`, perhaps with another window (1 to 65535). */
  resume(options?: { readonly prefetch?: number }): Promise<void>;
  /** Waits until every delivery is settled, or the signal aborts. Answers whether all are. */
  drain(deadline: AbortSignal): Promise<boolean>;
  /** Deliveries that are not settled. */
  readonly unsettled: number;
}

export interface ConsumerHost {
  readonly connection: Connection;
  readonly log: AmqpLog;
  readonly instruments: ConsumerInstruments;
  readonly random: () => number;
  readonly now: () => Date;
  /** Resolves when the session's topology has been asserted on the present connection, or refused. Never rejects. */
  readonly topologyReady: () => Promise<void>;
  /** Asserts it again. Never rejects. */
  readonly mendTopology: () => Promise<void>;
  readonly onDisposed: (consumer: AsyncDisposable) => void;
}

const steadyMs = 5_000;
const answerTimeoutMs = 2_000;

/**
 * Keeps one subscription alive. Everything that happens (a connection, a lost channel, a cancel, quiet, resume) only changes what is
 * wanted or what is there; `#step` alone acts, one at a time.
 */
export class ManagedConsumer implements Consumer {
  readonly #host: ConsumerHost;
  readonly #backoff: Backoff;
  readonly #receiver: Receiver;
  readonly #subscription: Subscription;
  readonly #reconciler: Reconciler;
  readonly #waiters = new Waiters();
  readonly #unsubscribe: () => void;
  readonly queue: string;
  #prefetch: number;
  #wanted: "consuming" | "quiet" | "closed" = "consuming";
  #state: ConsumerState;

  constructor(host: ConsumerHost, options: ConsumeOptions) {
    this.#host = host;
    checkPrefetch(options.queue, options.prefetch);
    this.queue = options.queue;
    this.#prefetch = options.prefetch;
    this.#backoff = new Backoff({ firstMs: 100, capMs: 5_000, random: host.random });
    this.#receiver = new Receiver({ ...options, log: host.log, instruments: host.instruments });
    this.#subscription = new Subscription({
      queue: options.queue,
      connection: host.connection,
      receiver: this.#receiver,
      log: host.log,
      interrupted: (interruption) => this.#interrupted(interruption),
    });
    this.#reconciler = new Reconciler({ step: () => this.#step(), failed: (error) => this.#failed(error) });
    this.#state = { kind: "subscribing", since: host.now() };
    this.#unsubscribe = host.connection.onChange((state) => {
      if (state.kind === "connected") void this.#reconciler.kick();
    });
    void this.#reconciler.kick();
  }

  get unsettled(): number {
    return this.#receiver.unsettled;
  }

  state(): ConsumerState {
    return this.#state;
  }

  consuming({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#waiters.until(() => {
      const { kind } = this.#state;
      if (kind === "closed" || kind === "quiet")
        throw new AmqpError("AMQP_CLOSED", `the consumer of ${this.queue} is ${kind}`);
      return kind === "consuming";
    }, signal);
  }

  async quiet(): Promise<void> {
    if (this.#wanted !== "consuming") return;
    this.#wanted = "quiet";
    this.#enter({ kind: "quiet" });
    await this.#answered(this.#reconciler.kick());
  }

  async resume({ prefetch = this.#prefetch }: { readonly prefetch?: number } = {}): Promise<void> {
    checkPrefetch(this.queue, prefetch);
    if (this.#wanted !== "quiet") return;
    this.#prefetch = prefetch;
    this.#wanted = "consuming";
    this.#enter({ kind: "subscribing", since: this.#host.now() });
    await this.#reconciler.kick();
  }

  drain(deadline: AbortSignal): Promise<boolean> {
    return this.#receiver.drain(deadline);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#wanted !== "closed") {
      this.#wanted = "closed";
      this.#unsubscribe();
      this.#enter({ kind: "closed" });
    }
    await this.#answered(this.#reconciler.kick());
    this.#host.onDisposed(this);
  }

  /** A silently gone peer answers no call until heartbeats end the connection; shutting down does not wait for that. */
  async #answered(work: Promise<void>): Promise<void> {
    await Promise.race([work, sleep(answerTimeoutMs, undefined, { ref: false })]);
  }

  async #step(): Promise<void> {
    switch (this.#wanted) {
      case "closed":
        return this.#subscription.close();
      case "quiet":
        return this.#subscription.end();
      case "consuming":
        if (!this.#subscription.active) await this.#subscribe();
        return undefined;
      default:
        return this.#wanted satisfies never;
    }
  }

  async #subscribe(): Promise<void> {
    if (this.#host.connection.model === undefined) return;
    await this.#host.topologyReady();
    if (!this.#isWanted("consuming")) return;
    const isConsuming = await this.#subscription.begin(this.#prefetch);
    if (isConsuming && this.#isWanted("consuming")) this.#enter({ kind: "consuming", since: this.#host.now() });
  }

  /** Read through a method: what is wanted may change during an `await`. */
  #isWanted(wanted: "consuming" | "quiet" | "closed"): boolean {
    return this.#wanted === wanted;
  }

  #interrupted({ reason, lastedMs }: { readonly reason: string; readonly lastedMs: number }): void {
    if (!this.#isWanted("consuming")) return;
    if (lastedMs > steadyMs) this.#backoff.succeeded();
    this.#host.instruments.resubscribed();
    this.#enter({ kind: "subscribing", since: this.#host.now(), error: reason });
    this.#reconciler.kickAfter(this.#backoff.nextMs());
  }

  async #failed(error: unknown): Promise<void> {
    await this.#subscription.close();
    if (!this.#isWanted("consuming")) return;
    const reason = error instanceof Error ? error.message : String(error);
    const missing = replyCode(error) === 404;
    this.#host.log.warn({ queue: this.queue, error: reason }, missing ? "the queue is missing" : "could not subscribe");
    this.#enter({ kind: "subscribing", since: this.#host.now(), error: reason });
    if (missing) await this.#host.mendTopology();
    this.#reconciler.kickAfter(this.#backoff.nextMs());
  }

  #enter(state: ConsumerState): void {
    this.#state = state;
    this.#waiters.wake();
  }
}

function checkPrefetch(queue: string, prefetch: number): void {
  if (Number.isInteger(prefetch) && prefetch >= 1 && prefetch <= 65_535) return;
  throw new AmqpError("AMQP_OPTION_INVALID", `prefetch of ${queue} must be a whole number from 1 to 65535`);
}
