import { setTimeout as sleep } from "node:timers/promises";
import { type AmqpSession, type Delivery, jobQueue, jobsExchange, type Publisher } from "@warren/amqp";
import { jobMessage } from "@warren/contracts";
import { type Logger } from "@warren/observability";
import { startConsumerWatch } from "./consumer-watch.ts";
import type { Inbox, Waiting } from "./inbox.ts";
import { createSubscriptions } from "./subscriptions.ts";
import { patienceMs, turnValve, type Valve, type ValveFacts, windowOf } from "./valve.ts";

export interface IntakeOptions {
  readonly session: Pick<AmqpSession, "consume" | "depth">;
  readonly publisher: Pick<Publisher, "publish">;
  readonly inbox: Inbox;
  /** Messages that it may hold of a queue while all goes well: unclaimed ones, and those of jobs that have just begun. */
  readonly prefetch: (queue: string) => number;
  readonly log: Logger;
  readonly newId: () => string;
  /** Proves the early claims of messages that are given back with jobs unasked: others will ack them. */
  readonly prove: () => Promise<void>;
  /** A message with jobs has arrived. */
  readonly arrived: () => void;
  /** A message that is not ours was set aside. */
  readonly foreign: () => void;
  /** A message was sent on: a bundle as single messages, or any because its jobs found no slot. */
  readonly sentOn: (how: "split" | "whole") => void;
  /** A subscription that had gone silent was renewed. */
  readonly renewed: () => void;
  /** How long a job that waits here now can expect to wait. */
  readonly expectedWaitMs: () => number;
  /** Moving average of the run time of a queue's jobs. */
  readonly averageRunMs: (queue: string) => number;
  /** How many jobs of the queue could start now. */
  readonly freeSlots: (queue: string) => number;
}

/** The worker's subscriptions: from broker messages to waiting job ids. */
export interface Intake extends AsyncDisposable {
  open(queues: readonly string[]): Promise<void>;
  /** Slots were taken or became free: a window may have to change. Acts in this turn of the event loop, before its acks leave. */
  slotsChanged(): void;
  /** `prefetch` answers otherwise now. */
  prefetchChanged(): void;
  /** Takes no more, and gives back what was not asked for. */
  quiet(): Promise<void>;
  /** Takes again after `quiet`. */
  resume(): void;
  /** Narrow queues were opened just now: their messages are on the way, and the turn is not to go to whichever is first. */
  readonly gathering: boolean;
}

/**
 * A bundle whose jobs have waited longer than this, and will again, is sent on as single messages, so that idle workers can share it. Short
 * jobs that only wait because everything is busy stay together: splitting them would make it busier.
 */
const bundlePatienceMs = 500;
const checkMs = 250;
const gatherMs = 10;
/** Postgres may be away, and giving back does not wait for that. */
const proveMs = 500;

interface Opening {
  valve: Valve;
  window: number;
  received: number;
}

export function createIntake(options: IntakeOptions): Intake {
  const { session, publisher, inbox, log, newId } = options;
  const subscriptions = createSubscriptions({ session, onMessage: receive });
  const openings = new Map<string, Opening>();
  const sending = new Set<Promise<void>>();
  let narrow = 0;
  let shut = false;
  let evaluating = false;
  let gathering: NodeJS.Timeout | undefined;
  let timer: NodeJS.Timeout | undefined;
  let watch: AsyncDisposable | undefined;

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
    const opening = openings.get(queue);
    if (opening !== undefined) opening.received += 1;
    inbox.put({ delivery, queue, ids, asked: 0, unproved: 0, since: performance.now() });
    options.arrived();
  }

  function facts(queue: string, nowMs: number): ValveFacts {
    const oldest = inbox.oldestSince(queue);
    return {
      shut,
      prefetch: options.prefetch(queue),
      freeSlots: options.freeSlots(queue),
      oldestWaitMs: oldest === undefined ? 0 : nowMs - oldest,
      averageRunMs: options.averageRunMs(queue),
      nowMs,
    };
  }

  function evaluate(): void {
    evaluating = false;
    const nowMs = performance.now();
    let opened = false;
    for (const [queue, opening] of openings) {
      const window = windowOf(opening.valve, facts(queue, nowMs), opening.window);
      opened ||= opening.window === 0 && window > 0;
      opening.window = window;
      subscriptions.want(queue, window);
    }
    if (opened && openings.size > 1) gather();
  }

  function gather(): void {
    gathering ??= setTimeout(() => {
      gathering = undefined;
      options.arrived();
    }, gatherMs);
  }

  function turnValves(nowMs: number): void {
    narrow = 0;
    for (const [queue, opening] of openings) {
      const next = turnValve(opening.valve, facts(queue, nowMs));
      if (next.kind !== opening.valve.kind)
        log.info({ queue, intake: next.kind, averageRunMs: Math.round(options.averageRunMs(queue)) }, "intake turned");
      opening.valve = next;
      if (next.kind === "narrow") narrow += 1;
    }
  }

  function check(): void {
    const nowMs = performance.now();
    turnValves(nowMs);
    evaluate();
    for (const [queue, { valve }] of openings) {
      if (valve.kind === "narrow" && options.freeSlots(queue) === 0)
        sendOn(inbox.takeStale(queue, nowMs - patienceMs, 1));
      else if (options.expectedWaitMs() > bundlePatienceMs) sendOn(inbox.takeStale(queue, nowMs - bundlePatienceMs, 2));
    }
  }

  function sendOn(stale: readonly Waiting[]): void {
    for (const message of stale) {
      const work = publishAnew(message).finally(() => sending.delete(work));
      sending.add(work);
    }
  }

  /**
   * Publishes its jobs again and acks it, rather than returning it: returns count against the broker's delivery limit, and a job that
   * meets many busy workers has done nothing wrong. A copy of the message may be left over: jobs run once, whatever the number of messages.
   */
  async function publishAnew(message: Waiting): Promise<void> {
    const { queue, ids } = message;
    const how = ids.length > 1 ? "split" : "whole";
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
      inbox.sentOn(message, true);
      options.sentOn(how);
    } catch (error) {
      log.warn({ queue, err: error }, "waiting jobs were not sent on");
      inbox.sentOn(message, false);
      options.arrived();
    }
  }

  return {
    async open(queues) {
      for (const queue of queues) {
        const window = options.prefetch(queue);
        openings.set(queue, { valve: { kind: "wide" }, window, received: 0 });
        await subscriptions.open(queue, window);
      }
      timer = setInterval(check, checkMs);
      watch = startConsumerWatch({
        queues,
        readyMessages: async (queue) => (await session.depth(jobQueue(queue)))?.messages ?? 0,
        isHungry: (queue) =>
          (openings.get(queue)?.window ?? 0) > 0 && options.freeSlots(queue) > 0 && !inbox.holds(queue),
        received: (queue) => openings.get(queue)?.received ?? 0,
        renew(queue) {
          options.renewed();
          subscriptions.renew(queue);
        },
        log,
      });
    },
    slotsChanged() {
      // most turns of most workers end here
      if (narrow === 0 || evaluating) return;
      evaluating = true;
      queueMicrotask(evaluate);
    },
    prefetchChanged: evaluate,
    async quiet() {
      shut = true;
      clearInterval(timer);
      evaluate();
      await subscriptions.settled();
      await Promise.all(sending);
      if (inbox.hasUnprovedParts) await Promise.race([options.prove(), sleep(proveMs, undefined, { ref: false })]);
      const handedBack = inbox.handBack();
      if (handedBack > 0) log.info({ messages: handedBack }, "unclaimed messages handed back");
    },
    resume() {
      shut = false;
      clearInterval(timer);
      timer = setInterval(check, checkMs);
      evaluate();
    },
    get gathering() {
      return gathering !== undefined;
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      clearTimeout(gathering);
      await watch?.[Symbol.asyncDispose]();
      await subscriptions[Symbol.asyncDispose]();
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
