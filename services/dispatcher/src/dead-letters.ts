import { setTimeout as sleep } from "node:timers/promises";
import {
  type AmqpSession,
  type Consumer,
  type Delivery,
  deadEventsQueue,
  deadQueue,
  unroutableQueue,
} from "@warren/amqp";
import type { DeadLetter, Ledger } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import type { Condemn } from "./condemn.ts";
import { readDeadEvent, readDeadLetter, readUnroutable } from "./letter.ts";

export interface DeadLettersOptions {
  readonly session: Pick<AmqpSession, "consume">;
  readonly ledger: Pick<Ledger, "recordDeadLetter">;
  readonly condemn: Condemn;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly random: () => number;
}

/** Takes what the broker gave up on into the ledger: out of the dead queues, and out of `warren.unroutable`, which must stay empty. */
export interface DeadLetters extends AsyncDisposable {
  /** Consumes the dead queue of a queue from now on. */
  watch(queue: string): Promise<void>;
  watchUnroutable(): Promise<void>;
  /** Consumes the dead events of all subscriptions. */
  watchEvents(): Promise<void>;
  quiet(): Promise<void>;
  drain(deadline: AbortSignal): Promise<boolean>;
}

const prefetch = 20;
const firstPauseMs = 200;
const longestPauseMs = 10_000;

export function createDeadLetters(options: DeadLettersOptions): DeadLetters {
  const { session, ledger, condemn, log, random } = options;
  const counted = options.metrics.counter({
    name: "warren_dead_letters_total",
    help: "Messages that the broker gave up on, taken into the ledger",
    labels: ["queue", "reason"],
  });
  const unroutable = options.metrics
    .counter({
      name: "warren_unroutable_messages_total",
      help: "Messages that no queue took; any is a mistake in the topology",
      labels: [],
    })
    .child({});
  const consumers: Consumer[] = [];
  const stopping = new AbortController();

  async function consume(queue: string, read: (delivery: Delivery) => DeadLetter, kind: "dead" | "unroutable") {
    const onMessage = (delivery: Delivery) => take(read(delivery), delivery, kind);
    consumers.push(await session.consume({ queue, prefetch, onMessage }));
  }

  /** Acked when the ledger has it, and not before: whatever happens, the message is in one of both. */
  async function take(letter: DeadLetter, delivery: Delivery, kind: "dead" | "unroutable"): Promise<void> {
    for (let pauseMs = firstPauseMs; !stopping.signal.aborted; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      try {
        await record(letter, kind);
        delivery.ack();
        return;
      } catch (error) {
        log.warn({ queue: letter.queue, messageId: letter.messageId, err: error }, "dead letter not recorded yet");
      }
      await sleep(pauseMs * (0.5 + random()), undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  async function record(letter: DeadLetter, kind: "dead" | "unroutable"): Promise<void> {
    const { queue, reason, messageId, jobIds } = letter;
    const { id, recorded, resent } = await ledger.recordDeadLetter(letter);
    if (recorded) {
      counted.inc({ queue: jobIds.length > 0 || letter.event !== undefined ? queue : "foreign", reason });
      const facts = { deadLetterId: id, queue, reason, messageId, jobs: jobIds, resent };
      if (kind === "unroutable") {
        unroutable.inc();
        log.error(facts, "a message had no queue to go to; its waiting jobs are sent again");
      } else if (letter.event !== undefined) {
        log.error({ ...facts, ...letter.event }, "a dead event was taken in; replay it when its cause is mended");
      } else {
        log.error(facts, "the broker gave up on a message; its waiting jobs are sent again");
      }
    }
    // also for a letter that was recorded before: a crash may have come between
    if (reason === "delivery_limit" && jobIds.length > 0) await condemn(jobIds);
  }

  return {
    watch: (queue) => consume(deadQueue(queue), (delivery) => readDeadLetter(queue, delivery), "dead"),
    watchUnroutable: () => consume(unroutableQueue, readUnroutable, "unroutable"),
    watchEvents: () => consume(deadEventsQueue, readDeadEvent, "dead"),
    async quiet() {
      await Promise.all(consumers.map((consumer) => consumer.quiet()));
    },
    async drain(deadline) {
      const drained = await Promise.all(consumers.map((consumer) => consumer.drain(deadline)));
      return drained.every(Boolean);
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await Promise.all(consumers.map((consumer) => consumer[Symbol.asyncDispose]()));
    },
  };
}
