import type { Delivery } from "@warren/amqp";
import type { ClaimedJob } from "@warren/ledger";
import type { QueueRoom } from "./queue-room.ts";
import type { Turns } from "./turns.ts";

/** A message and those of its jobs that nobody has asked the ledger for yet. */
export interface Waiting {
  readonly delivery: Pick<Delivery, "ack" | "requeue">;
  readonly queue: string;
  /** Ids not yet asked for. */
  readonly ids: string[];
  /** Ids asked for, without an answer yet. */
  asked: number;
  /** Its jobs whose early claims are not proved yet. */
  unproved: number;
  /** Monotonic milliseconds. */
  readonly since: number;
}

type Answered = Pick<ClaimedJob, "id" | "queue" | "durable">;

/** Ids of one claim, with the messages they came from. */
export interface Draft {
  readonly ids: readonly string[];
  readonly parts: readonly { readonly from: Waiting; readonly ids: readonly string[] }[];
}

/**
 * The messages a worker holds, a line for each queue. A message is acked when the ledger has answered for each of its jobs and its answers
 * are on disk, and not before: until then the broker gives it to another worker if this one dies.
 */
export class Inbox {
  readonly #lines = new Map<string, Waiting[]>();
  /** Unanswered messages, asked for or not. */
  readonly #held = new Set<Waiting>();
  /** Messages that the broker has not got back. */
  readonly #unsettled = new Set<Waiting>();
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

  /** Whether a message with unasked jobs has others whose claims are not proved. */
  get hasUnprovedParts(): boolean {
    return [...this.#lines.values()].some((line) => line.some(({ unproved }) => unproved > 0));
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
    this.#unsettled.add(message);
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
   * The ledger has answered for a draft with these jobs: acks the messages of which nothing is left to ask or to prove. The room of those
   * that it did not give is free again. Answers which message has to wait for `proved` or `again` of which job.
   */
  answered<Job extends Answered>(draft: Draft, jobs: readonly Job[]): ReadonlyMap<Job, Waiting> {
    const early = new Map(jobs.filter(({ durable }) => !durable).map((job) => [job.id, job]));
    const waiting = new Map<Job, Waiting>();
    for (const { from, ids } of draft.parts) {
      from.asked -= ids.length;
      this.#room.give(from.queue, ids.length);
      for (const id of ids) {
        const job = early.get(id.toLowerCase());
        if (job === undefined || waiting.has(job)) continue;
        waiting.set(job, from);
        from.unproved += 1;
      }
      if (from.asked === 0 && from.ids.length === 0) this.#held.delete(from);
      this.#ackWhenDone(from);
    }
    for (const { queue } of jobs) this.#room.take(queue, 1);
    return waiting;
  }

  /** An early claim of the message is on disk, or its job no longer this worker's. */
  proved(message: Waiting): void {
    message.unproved -= 1;
    this.#ackWhenDone(message);
  }

  /** It is not known whose the job of an early claim is: it is asked for once more, and stands for its message. */
  again(message: Waiting, id: string): void {
    const delivery = { ack: () => this.proved(message), requeue: () => this.#requeue(message) };
    this.put({ delivery, queue: message.queue, ids: [id], asked: 0, unproved: 0, since: message.since });
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
      this.#requeue(message);
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
    if (message.asked === 0) this.#held.delete(message);
    this.#ackWhenDone(message);
  }

  #ackWhenDone(message: Waiting): void {
    if (message.unproved === 0 && !this.#held.has(message) && this.#unsettled.delete(message)) message.delivery.ack();
  }

  #requeue(message: Waiting): void {
    this.#held.delete(message);
    if (this.#unsettled.delete(message)) message.delivery.requeue();
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
