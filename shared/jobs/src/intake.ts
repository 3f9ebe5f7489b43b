import { type AmqpSession, type Consumer, type Delivery, jobQueue, jobsExchange, type Publisher } from "@warren/amqp";
import { jobMessage } from "@warren/contracts";
import { type Logger } from "@warren/observability";
import type { Inbox, Waiting } from "./inbox.ts";

export interface IntakeOptions {
  readonly session: Pick<AmqpSession, "consume">;
  readonly publisher: Pick<Publisher, "publish">;
  readonly inbox: Inbox;
  readonly prefetch: number;
  readonly log: Logger;
  readonly newId: () => string;
  /** A message with jobs has arrived. */
  readonly arrived: () => void;
  /** A message that is not ours was set aside. */
  readonly foreign: () => void;
  /** A bundle was sent on as single messages. */
  readonly split: () => void;
  /** How long a job that waits here now can expect to wait. */
  readonly expectedWaitMs: () => number;
}

/** The worker's subscriptions: from broker messages to waiting job ids. */
export interface Intake extends AsyncDisposable {
  open(queues: readonly string[]): Promise<void>;
  /** Takes no more, and gives back what was not asked for. */
  quiet(): Promise<void>;
}

/**
 * A bundle whose jobs have waited longer than this, and will again, is sent on as single messages, so that idle workers can share it. Short
 * jobs that only wait because everything is busy stay together: splitting them would make it busier.
 */
const patienceMs = 500;
const splitCheckMs = 250;

export function createIntake(options: IntakeOptions): Intake {
  const { session, publisher, inbox, log, newId } = options;
  const consumers: Consumer[] = [];
  const splitting = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;

  function receive(queue: string, delivery: Delivery): void {
    const ids = readJobs(delivery.body);
    if (ids === undefined) {
      log.warn(
        { queue, messageId: delivery.messageId, type: delivery.type },
        "a message that is not ours is set aside",
      );
      options.foreign();
      delivery.reject();
      return;
    }
    inbox.put({ delivery, queue, ids, asked: 0, since: performance.now() });
    options.arrived();
  }

  function splitStale(): void {
    if (options.expectedWaitMs() <= patienceMs) return;
    for (const message of inbox.takeStale(performance.now() - patienceMs)) {
      const work = split(message).finally(() => splitting.delete(work));
      splitting.add(work);
    }
  }

  /** A copy of the message may be left over: jobs run once, whatever the number of messages. */
  async function split(message: Waiting): Promise<void> {
    const { queue, ids } = message;
    try {
      await Promise.all(
        ids.map((id) =>
          publisher.publish({
            exchange: jobsExchange,
            routingKey: queue,
            body: Buffer.from(JSON.stringify({ v: 1, jobs: [id] })),
            messageId: newId(),
          }),
        ),
      );
      inbox.split(message, true);
      options.split();
    } catch (error) {
      log.warn({ queue, err: error }, "a waiting bundle was not split");
      inbox.split(message, false);
      options.arrived();
    }
  }

  return {
    async open(queues) {
      for (const queue of queues) {
        consumers.push(
          await session.consume({
            queue: jobQueue(queue),
            prefetch: options.prefetch,
            onMessage: (delivery) => receive(queue, delivery),
          }),
        );
      }
      timer = setInterval(splitStale, splitCheckMs);
    },
    async quiet() {
      clearInterval(timer);
      await Promise.all(consumers.map((consumer) => consumer.quiet()));
      await Promise.all(splitting);
      const handedBack = inbox.handBack();
      if (handedBack > 0) log.info({ messages: handedBack }, "unclaimed messages handed back");
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await Promise.all(consumers.map((consumer) => consumer[Symbol.asyncDispose]()));
    },
  };
}

/** The job ids of a message; `undefined` if it is not one of ours. Never throws. */
function readJobs(body: Buffer): string[] | undefined {
  try {
    const parsed = jobMessage.safeParse(JSON.parse(body.toString("utf8")));
    return parsed.success ? parsed.data.jobs : undefined;
  } catch {
    return undefined;
  }
}
