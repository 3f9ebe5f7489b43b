import type { Delivery } from "@warren/amqp";
import type { QueueRoom } from "./caps.ts";
import type { Turns } from "./turns.ts";

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
 * The messages a worker holds, a line for each queue. A message is acked when the ledger has answered for each of its jobs, and not
 * before: until then the broker gives it to another worker if this one dies.
 */
export class Inbox {
  readonly #lines = new Map<string, Waiting[]>();
  /** Unanswered messages, asked for or not. */
  readonly #held = new Set<Waiting>();
  readonly #turns: Turns;
  readonly #room: QueueRoom;

  constructor(turns: Turns, room: QueueRoom) {
    this.#turns = turns;
    this.#room = room;
  }

  /** Jobs that nobody has asked for. */
  get unasked(): number {
    let sum = 0;
    for (const line of this.#lines.values()) for (const { ids } of line) sum += ids.length;
    return sum;
  }

  /** Whether there is nothing that may be asked for now. */
  get isEmpty(): boolean {
    return this.#open().length === 0;
  }

  get messages(): number {
    return this.#held.size;
  }

  /** Whether messages of the queue wait here, asked for or not. */
  holds(queue: string): boolean {
    for (const message of this.#held) if (message.queue === queue) return true;
    return false;
  }

  /** Since when the queue's oldest message with unasked jobs has waited; `undefined` if there is none. */
  oldestSince(queue: string): number | undefined {
    return this.#lines.get(queue)?.[0]?.since;
  }

  /** How long the oldest of all has waited; 0 if there is none. */
  oldestWaitMs(nowMs: number): number {
    let longest = 0;
    for (const [first] of this.#lines.values())
      if (first !== undefined) longest = Math.max(longest, nowMs - first.since);
    return longest;
  }

  put(message: Waiting): void {
    this.#lineOf(message.queue).push(message);
    this.#held.add(message);
  }

  /**
   * Takes the next ids, at most `limit`: the queues in turn by weight, in a queue the oldest messages first. An id named by two messages is
   * asked for once per draft.
   */
  draw(limit: number): Draft {
    const ids = new Set<string>();
    const parts = new Map<Waiting, string[]>();
    let open = this.#open();
    while (ids.size < limit) {
      const alone = open.length === 1;
      const queue = alone ? open[0] : this.#turns.pick(open);
      if (queue === undefined) break;
      // with others waiting, each turn is one job; alone, there is nobody to take turns with
      const most = Math.min(alone ? limit - ids.size : 1, this.#room.of(queue));
      this.#take(queue, most, ids, parts);
      if (!this.#isOpen(queue)) open = open.filter((other) => other !== queue);
    }
    return { ids: [...ids], parts: [...parts].map(([from, taken]) => ({ from, ids: taken })) };
  }

  #take(queue: string, most: number, ids: Set<string>, parts: Map<Waiting, string[]>): void {
    const line = this.#lineOf(queue);
    const from = line[0];
    if (from === undefined) return;
    const taken = from.ids.splice(0, most);
    from.asked += taken.length;
    this.#room.take(queue, taken.length);
    for (const id of taken) ids.add(id);
    const part = parts.get(from);
    if (part === undefined) parts.set(from, taken);
    else part.push(...taken);
    if (from.ids.length === 0) line.shift();
  }

  /**
   * The ledger has answered for a draft with these jobs: acks the messages of which nothing is left to ask. The room of those that it did
   * not give is free again.
   */
  answered(draft: Draft, jobs: readonly { readonly queue: string }[]): void {
    for (const { from, ids } of draft.parts) {
      from.asked -= ids.length;
      this.#room.give(from.queue, ids.length);
      if (from.asked === 0 && from.ids.length === 0 && this.#held.delete(from)) from.delivery.ack();
    }
    for (const { queue } of jobs) this.#room.take(queue, 1);
  }

  /** Nobody knows what became of a draft: its ids wait again, in front. */
  unanswered(draft: Draft): void {
    for (const { from, ids } of draft.parts.toReversed()) {
      from.asked -= ids.length;
      this.#room.give(from.queue, ids.length);
      const wasWaiting = from.ids.length > 0;
      from.ids.unshift(...ids);
      if (!wasWaiting && this.#held.has(from)) this.#lineOf(from.queue).unshift(from);
    }
  }

  /** Gives every message that still has unasked jobs back to the broker, for another worker. Claimed ones among them are simply not ready there. */
  handBack(): number {
    const messages = [...this.#lines.values()].flatMap((line) => line.splice(0));
    for (const message of messages) {
      message.ids.length = 0;
      this.#held.delete(message);
      message.delivery.requeue();
    }
    return messages.length;
  }

  /** Takes out the queue's messages that have waited since before `before` and have at least `jobs` jobs unasked, to be sent on. */
  takeStale(queue: string, before: number, jobs: number): readonly Waiting[] {
    const line = this.#lineOf(queue);
    const isStale = ({ since, ids }: Waiting): boolean => since < before && ids.length >= jobs;
    const stale = line.filter(isStale);
    if (stale.length > 0) line.splice(0, line.length, ...line.filter((message) => !isStale(message)));
    return stale;
  }

  /** The unasked jobs of a stale message were sent on (the message may go), or were not (they wait again). */
  sentOn(message: Waiting, sent: boolean): void {
    if (!sent) {
      this.#lineOf(message.queue).unshift(message);
      return;
    }
    message.ids.length = 0;
    if (message.asked === 0 && this.#held.delete(message)) message.delivery.ack();
  }

  #open(): readonly string[] {
    return [...this.#lines.keys()].filter((queue) => this.#isOpen(queue));
  }

  #isOpen(queue: string): boolean {
    return this.#lineOf(queue).length > 0 && this.#room.of(queue) > 0;
  }

  #lineOf(queue: string): Waiting[] {
    let line = this.#lines.get(queue);
    if (line === undefined) {
      line = [];
      this.#lines.set(queue, line);
    }
    return line;
  }
}
