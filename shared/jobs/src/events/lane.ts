import type { AmqpSession, Consumer, Delivery } from "@warren/amqp";
import { eventQueue } from "@warren/amqp";
import type { Logger, Tracing } from "@warren/observability";
import type { Deadlines } from "../attempts/deadlines.ts";
import { type JobAbortedError, JobDataError, JobError } from "../errors.ts";
import { misfit } from "../json.ts";
import { type EventServices, ReceivedEvent } from "./event.ts";
import type { Inboxed } from "./inboxed.ts";
import type { SubscriptionInstruments } from "./instruments.ts";
import { type Onward, onwardMessage } from "./onward.ts";
import { type Performance, perform } from "./perform.ts";
import type { Subscription } from "./subscribe.ts";
import { decideEvent, type EventOutcome, type EventVerdict } from "./verdict.ts";
import { type Attributes, readAttributes } from "./wire.ts";

export interface LaneOptions {
  readonly subscription: Subscription;
  readonly session: Pick<AmqpSession, "consume">;
  readonly onward: Onward;
  /** `undefined` for a subscription without an inbox. */
  readonly inboxed: Inboxed | undefined;
  readonly deadlines: Deadlines;
  readonly instruments: SubscriptionInstruments;
  readonly log: Logger;
  readonly tracing: Tracing | undefined;
  readonly random: () => number;
  readonly newId: () => string;
}

/** One subscription in one process: from its queue to settled deliveries. */
export interface Lane extends AsyncDisposable {
  readonly subscription: Subscription;
  open(): Promise<void>;
  /** Takes no more, and gives back what no handler has begun. */
  quiet(): Promise<void>;
  /** Resolves when everything begun is settled, or the deadline aborts. Answers whether all is. */
  drain(deadline: AbortSignal): Promise<boolean>;
  /** Aborts the signals of running handlers. */
  abort(reason: JobAbortedError): void;
  /** Gives up on running handlers: their events go back to the queue. */
  giveUp(): void;
  consuming(): boolean;
}

export function createLane(options: LaneOptions): Lane {
  const { subscription, session, onward, inboxed, deadlines, instruments, log, random } = options;
  const { concurrency, prefetch, attempts: maxAttempts, timeoutMs, hardTimeoutMs, handler } = subscription;
  const waiting: Delivery[] = [];
  const performing = new Set<Performance>();
  const wakers = new Set<() => void>();
  let consumer: Consumer | undefined;
  let running = 0;
  /** Begun and not settled: running, asking the inbox, or on the way to the ladder. */
  let open = 0;
  let isQuiet = false;

  const services: EventServices = {
    log,
    subscription: subscription.id,
    maxAttempts,
    timeoutMs,
    async complete(event, tx) {
      if (inboxed === undefined) {
        throw new JobError("EVENT_INBOX_OFF", `complete: subscription ${subscription.id} has no inbox`);
      }
      await inboxed.complete(event, tx);
    },
  };

  function receive(delivery: Delivery): void {
    if (running < concurrency && !isQuiet) begin(delivery);
    else {
      waiting.push(delivery);
      instruments.waiting.set(waiting.length);
    }
  }

  function begin(delivery: Delivery): void {
    running += 1;
    open += 1;
    instruments.running.set(running);
    handle(delivery).then(settledOne, (error: unknown) => {
      log.fatal({ subscription: subscription.id, messageId: delivery.messageId, err: error }, "the subscriber failed");
      // not lost: the broker's own dead-lettering keeps it
      delivery.reject();
      settledOne();
    });
  }

  function settledOne(): void {
    open -= 1;
    if (open > 0) return;
    for (const wake of wakers) wake();
  }

  /** A slot is free: the next one begins, in order of arrival. */
  function handlerEnded(): void {
    running -= 1;
    const next = isQuiet ? undefined : waiting.shift();
    if (next === undefined) instruments.running.set(running);
    else {
      instruments.waiting.set(waiting.length);
      begin(next);
    }
  }

  async function handle(delivery: Delivery): Promise<void> {
    const attributes = readAttributes(delivery);
    const event = read(delivery, attributes);
    const label = subscription.labelOf(attributes.type);
    let outcome: EventOutcome;
    if (!(event instanceof ReceivedEvent)) outcome = { kind: "threw", error: event.error };
    else if (inboxed === undefined) outcome = await run(event, label);
    else outcome = await inboxed.once(event, () => run(event, label));
    handlerEnded();
    const { backoff, ladderMs } = subscription;
    const verdict = decideEvent(outcome, { attempt: attributes.attempt, maxAttempts, backoff, ladderMs }, random);
    if (verdict.kind === "ack" || verdict.kind === "return") settle(delivery, verdict, label);
    else await sendOn(delivery, attributes, verdict, label, outcome);
  }

  async function run(event: ReceivedEvent, label: string): Promise<EventOutcome> {
    const startedAt = performance.now();
    const { tracing } = options;
    const one = perform({ event, handler, timeoutMs, hardTimeoutMs, deadlines, tracing });
    performing.add(one);
    const outcome = await one.outcome;
    performing.delete(one);
    instruments.ran(label, (performance.now() - startedAt) / 1_000);
    return outcome;
  }

  /** The event of a message, or why it is none for this subscription. */
  function read(delivery: Delivery, attributes: Attributes): ReceivedEvent | { readonly error: Error } {
    const { id, type, version } = attributes;
    if (id === undefined) {
      return { error: new JobDataError("EVENT_MALFORMED", "the message has neither cloudEvents_id nor a message id") };
    }
    const shape = subscription.shapeOf(type, version);
    if (shape.kind === "unhandled") {
      const text = `${subscription.id} takes no ${type}${version === undefined ? "" : ` version ${version}`}`;
      return { error: new JobError("EVENT_UNHANDLED", text, { details: { type, version } }) };
    }
    let data: unknown;
    try {
      data = JSON.parse(delivery.body.toString("utf8"));
    } catch (cause) {
      return { error: new JobDataError("EVENT_MALFORMED", "the body of the message is not JSON", { cause }) };
    }
    try {
      const parsed = shape.schema.safeParse(shape.upcast === undefined ? data : shape.upcast(data));
      if (!parsed.success) return { error: misfit(`data of ${type}`, parsed.error, "EVENT_DATA_INVALID") };
      return new ReceivedEvent(id, attributes, parsed.data, services);
    } catch (error) {
      // the author's own refinement or transform threw: as if the handler had
      return { error: error instanceof Error ? error : new Error(String(error)) };
    }
  }

  function settle(
    delivery: Delivery,
    verdict: Extract<EventVerdict, { readonly kind: "ack" | "return" }>,
    label: string,
  ): void {
    if (verdict.kind === "ack") delivery.ack();
    else delivery.requeue();
    instruments.handled(label, verdict.kind === "ack" ? verdict.as : "returned");
  }

  async function sendOn(
    delivery: Delivery,
    attributes: Attributes,
    verdict: Extract<EventVerdict, { readonly kind: "retry" | "dead" }>,
    label: string,
    outcome: EventOutcome,
  ): Promise<void> {
    const facts = {
      subscription: subscription.id,
      event: attributes.type,
      eventId: attributes.id,
      attempt: attributes.attempt,
      correlationId: attributes.correlationId,
      ...(outcome.kind === "threw" ? { err: outcome.error } : {}),
    };
    if (verdict.kind === "dead") log.error({ ...facts, reason: verdict.reason }, "event is dead");
    else if (verdict.as === "retried")
      log.warn({ ...facts, delayMs: verdict.delayMs }, "event not handled; tried again later");
    await onward.send(delivery, onwardMessage(subscription, delivery, attributes, verdict, options.newId()));
    instruments.handled(label, verdict.kind === "dead" ? "dead" : verdict.as);
  }

  return {
    subscription,
    async open() {
      const queue = eventQueue(subscription.service, subscription.name);
      consumer = await session.consume({ queue, prefetch, onMessage: receive });
    },
    async quiet() {
      if (isQuiet) return;
      isQuiet = true;
      await consumer?.quiet();
      for (const delivery of waiting.splice(0)) delivery.requeue();
      instruments.waiting.set(0);
    },
    async drain(deadline) {
      if (open === 0 || deadline.aborted) return open === 0;
      const { promise, resolve } = Promise.withResolvers<void>();
      wakers.add(resolve);
      deadline.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      wakers.delete(resolve);
      return open === 0;
    },
    abort(reason) {
      for (const { event } of performing) event.abort(reason);
    },
    giveUp() {
      for (const one of performing) one.giveUp({ kind: "stopping" });
    },
    consuming: () => consumer?.state().kind === "consuming",
    async [Symbol.asyncDispose]() {
      isQuiet = true;
      await consumer?.[Symbol.asyncDispose]();
      instruments.running.set(0);
      instruments.waiting.set(0);
    },
  };
}
