import type { Delivery } from "@warren/amqp";

/** A message and those of its jobs that nobody has asked the ledger for yet. */
export interface Waiting {
  readonly delivery: Pick<Delivery, "ack" | "requeue">;
  readonly queue: string;
  /** Ids not yet asked for. */
  readonly ids: string[];
  /** Ids asked for, without an answer yet. */
  asked: number;
  /** Monotonic milliseconds. */
  readonly since: number;
}

/** Ids of one claim, with the messages they came from. */
export interface Draft {
  readonly ids: readonly string[];
  readonly parts: readonly { readonly from: Waiting; readonly ids: readonly string[] }[];
}

/**
 * The messages a worker holds. A message is acked when the ledger has answered for each of its jobs, and not before: until then the
 * broker gives it to another worker if this one dies.
 */
export class Inbox {
  readonly #waiting: Waiting[] = [];
  /** Unanswered messages, asked for or not. */
  readonly #held = new Set<Waiting>();

  /** Jobs that nobody has asked for. */
  get unasked(): number {
    return this.#waiting.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get messages(): number {
    return this.#held.size;
  }

  put(message: Waiting): void {
    this.#waiting.push(message);
    this.#held.add(message);
  }

  /** Takes the next ids, oldest messages first, at most `limit`; an id named by two messages is asked for once per draft. */
  draw(limit: number): Draft {
    const ids = new Set<string>();
    const parts: { from: Waiting; ids: string[] }[] = [];
    while (ids.size < limit) {
      const from = this.#waiting[0];
      if (from === undefined) break;
      const taken = from.ids.splice(0, limit - ids.size);
      from.asked += taken.length;
      for (const id of taken) ids.add(id);
      parts.push({ from, ids: taken });
      if (from.ids.length === 0) this.#waiting.shift();
    }
    return { ids: [...ids], parts };
  }

  /** The ledger has answered for a draft: acks the messages of which nothing is left to ask. */
  answered(draft: Draft): void {
    for (const { from, ids } of draft.parts) {
      from.asked -= ids.length;
      if (from.asked === 0 && from.ids.length === 0 && this.#held.delete(from)) from.delivery.ack();
    }
  }

  /** Nobody knows what became of a draft: its ids wait again, in front. */
  unanswered(draft: Draft): void {
    for (const { from, ids } of draft.parts.toReversed()) {
      from.asked -= ids.length;
      const wasWaiting = from.ids.length > 0;
      from.ids.unshift(...ids);
      if (!wasWaiting && this.#held.has(from)) this.#waiting.unshift(from);
    }
  }

  /** Gives every message that still has unasked jobs back to the broker, for another worker. Claimed ones among them are simply not ready there. */
  handBack(): number {
    const messages = this.#waiting.splice(0);
    for (const message of messages) {
      message.ids.length = 0;
      this.#held.delete(message);
      message.delivery.requeue();
    }
    return messages.length;
  }

  /** Takes out bundles that have waited since before `before` and still have more than one job unasked, for splitting. */
  takeStale(before: number): readonly Waiting[] {
    const stale = this.#waiting.filter((message) => message.since < before && message.ids.length > 1);
    if (stale.length === 0) return stale;
    const fresh = this.#waiting.filter((message) => !stale.includes(message));
    this.#waiting.splice(0, this.#waiting.length, ...fresh);
    return stale;
  }

  /** The unasked jobs of a stale bundle were sent on (the message may go), or were not (they wait again). */
  split(message: Waiting, sent: boolean): void {
    if (!sent) {
      this.#waiting.unshift(message);
      return;
    }
    message.ids.length = 0;
    if (message.asked === 0 && this.#held.delete(message)) message.delivery.ack();
  }
}
