import type { ChannelModel } from "amqplib";
import { Backoff } from "./backoff.ts";
import { withChannel } from "./channels.ts";
import type { Connection } from "./connection.ts";
import { declareTopology } from "./declare.ts";
import { AmqpError, TopologyMismatchError } from "./errors.ts";
import type { AmqpLog } from "./log.ts";
import { emptyTopology, mergeTopologies, type Topology } from "./topology.ts";

export type TopologyState =
  /** Not asserted on the present connection yet, or there is no connection. */
  | { readonly kind: "pending"; readonly error?: string }
  | { readonly kind: "asserted" }
  /** Fatal: the broker holds something else than declared. */
  | { readonly kind: "mismatched"; readonly error: TopologyMismatchError };

export interface TopologyKeeperOptions {
  readonly connection: Connection;
  readonly log: AmqpLog;
  readonly random: () => number;
  readonly onFatal: (error: TopologyMismatchError) => void;
  readonly onChange: () => void;
}

/**
 * Asserts what a session declares, at once and on every new connection. A mismatch is reported once a connection and not tried
 * again on it; any other refusal is tried again with backoff.
 */
export class TopologyKeeper {
  readonly #options: TopologyKeeperOptions;
  readonly #backoff: Backoff;
  readonly #unsubscribe: () => void;
  #topology: Topology = emptyTopology;
  #state: TopologyState = { kind: "pending" };
  #assertion: { readonly model: ChannelModel; readonly done: Promise<void> } | undefined;
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(options: TopologyKeeperOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ firstMs: 1_000, capMs: 30_000, random: options.random });
    this.#unsubscribe = options.connection.onChange((state) => {
      if (state.kind === "connected") this.#assertAll();
      else if (state.kind === "connecting") this.#enter({ kind: "pending" });
    });
  }

  get state(): TopologyState {
    return this.#state;
  }

  /** Adds to what is kept. Throws what the broker refuses; `pending` if there is no connection to ask it on. */
  async declare(topology: Topology): Promise<"asserted" | "pending"> {
    const { connection } = this.#options;
    this.#topology = mergeTopologies(this.#topology, topology);
    await connection.attempted;
    const { model } = connection;
    if (model === undefined) return "pending";
    try {
      await withChannel(model, (channel) => declareTopology(channel, topology));
    } catch (error) {
      if (error instanceof TopologyMismatchError) this.#enter({ kind: "mismatched", error });
      if (error instanceof TopologyMismatchError || error instanceof AmqpError) throw error;
      return "pending";
    }
    if (this.#state.kind === "pending" && connection.model === model) await this.ready();
    return "asserted";
  }

  /** Resolves when the present connection's assertion is over, well or badly; at once without a connection. */
  async ready(): Promise<void> {
    if (this.#options.connection.model === undefined) return;
    if (this.#assertion === undefined || this.#assertion.model !== this.#options.connection.model) this.#assertAll();
    await this.#assertion?.done;
  }

  /** Asserts everything again, because something turned out to be missing. */
  async mend(): Promise<void> {
    if (this.#state.kind === "mismatched") return;
    this.#assertion = undefined;
    await this.ready();
  }

  close(): void {
    this.#unsubscribe();
    clearTimeout(this.#retryTimer);
  }

  #assertAll(): void {
    const { model } = this.#options.connection;
    if (model === undefined) return;
    clearTimeout(this.#retryTimer);
    this.#assertion = { model, done: this.#assert(model) };
  }

  /** Never rejects. */
  async #assert(model: ChannelModel): Promise<void> {
    const { connection, log, onFatal } = this.#options;
    try {
      await withChannel(model, (channel) => declareTopology(channel, this.#topology));
      if (connection.model !== model) return;
      this.#backoff.succeeded();
      this.#enter({ kind: "asserted" });
    } catch (error) {
      if (connection.model !== model) return;
      if (error instanceof TopologyMismatchError) {
        log.error({ err: error }, "the broker's topology differs from the declared one");
        this.#enter({ kind: "mismatched", error });
        onFatal(error);
        return;
      }
      const reason = error instanceof Error ? error.message : String(error);
      const delayMs = this.#backoff.nextMs();
      log.warn({ error: reason, retryInMs: delayMs }, "could not declare the topology");
      this.#enter({ kind: "pending", error: reason });
      this.#retryTimer = setTimeout(() => this.#assertAll(), delayMs);
    }
  }

  #enter(state: TopologyState): void {
    this.#state = state;
    this.#options.onChange();
  }
}
