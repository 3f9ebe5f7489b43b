import type { Channel } from "amqplib";
import { AckFrontier, type Verdict } from "./ack-frontier.ts";
import type { ReceivedDelivery, Settler } from "./delivery.ts";

/** What is left when a channel is gone. */
export interface Remains {
  /** Deliveries whose handlers still run. */
  readonly open: readonly ReceivedDelivery[];
  /** Settled, but the broker may not know: not yet sent, or sent among the last and possibly never received. */
  readonly uncertain: ReadonlyMap<string, Verdict>;
}

export interface LineHooks {
  /** A delivery was settled: once for each, late or not. */
  readonly settled: () => void;
  /** A delivery was settled on this line after the line was lost. */
  readonly late: (delivery: ReceivedDelivery, verdict: Verdict) => void;
  /** A requeue was asked for; answers whether it may go now. Else `line.release` sends it later. */
  readonly mayRequeue: () => boolean;
}

/**
 * One channel of a consumer, from opening to loss, and what was delivered on it. Its settlements can reach no other channel: a
 * delivery tag means another message there, and acking by it would delete that one.
 */
export class Line implements Settler {
  readonly channel: Channel;
  readonly #hooks: LineHooks;
  readonly #frontier = new AckFrontier<ReceivedDelivery>();
  /** Ids of the last acks. The broker has at most a window unacked, or two around a resume, so it knows of all acks before. */
  readonly #lastSent: { readonly id: string; readonly verdict: Verdict }[] = [];
  #lastSentAt = 0;
  #remembered = 2;
  #settled: ReceivedDelivery[] = [];
  #held: ReceivedDelivery[] = [];
  #flushScheduled = false;
  #lost = false;
  /** The consumer tag, while the broker delivers. */
  consumerTag: string | undefined;

  constructor(channel: Channel, hooks: LineHooks) {
    this.channel = channel;
    this.#hooks = hooks;
  }

  get lost(): boolean {
    return this.#lost;
  }

  /** The window that the broker is about to be given. */
  widen(prefetch: number): void {
    this.#remembered = Math.max(this.#remembered, prefetch * 2);
  }

  deliver(delivery: ReceivedDelivery): void {
    this.#frontier.deliver(delivery);
  }

  settle(delivery: ReceivedDelivery, verdict: Verdict): void {
    this.#hooks.settled();
    if (this.#lost) {
      this.#hooks.late(delivery, verdict);
      return;
    }
    if (verdict === "requeue" && !this.#hooks.mayRequeue()) {
      this.#held.push(delivery);
      return;
    }
    delivery.verdict = verdict;
    this.#settled.push(delivery);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    setImmediate(() => this.flush());
  }

  /** Sends the requeues that were held. */
  release(): void {
    const held = this.#held;
    this.#held = [];
    for (const delivery of held) {
      delivery.verdict = "requeue";
      this.#settled.push(delivery);
    }
    this.flush();
  }

  flush(): void {
    this.#flushScheduled = false;
    if (this.#lost || this.#settled.length === 0) return;
    const settled = this.#settled;
    const { others, upTo, singles } = this.#frontier.plan(settled);
    this.#settled = [];
    for (const delivery of settled) this.#remember(delivery);
    try {
      for (const { message, verdict } of others) this.channel.nack(message, false, verdict === "requeue");
      if (upTo !== undefined) this.channel.ack(upTo.message, true);
      for (const { message } of singles) this.channel.ack(message);
    } catch {
      // The channel has just died; `close` follows and finds what was lost among the last sent.
    }
  }

  /** The channel is gone. */
  lose(): Remains {
    this.#lost = true;
    this.consumerTag = undefined;
    const uncertain = new Map<string, Verdict>();
    for (const { id, verdict } of this.#lastSent) uncertain.set(id, verdict);
    for (const { messageId, verdict } of this.#settled) {
      if (messageId !== undefined && verdict !== undefined && verdict !== "requeue") uncertain.set(messageId, verdict);
    }
    this.#settled = [];
    return { open: this.#frontier.open().filter((delivery) => !delivery.settled), uncertain };
  }

  #remember({ messageId, verdict }: { messageId: string | undefined; verdict: Verdict | undefined }): void {
    if (messageId === undefined || verdict === undefined || verdict === "requeue") return;
    this.#lastSent[this.#lastSentAt] = { id: messageId, verdict };
    this.#lastSentAt = (this.#lastSentAt + 1) % this.#remembered;
  }
}
