import { randomUUID } from "node:crypto";
import { type AmqpSession, eventsTopology, mergeTopologies, type Topology } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { HealthResult, Logger, Metrics, Tracing } from "@warren/observability";
import { createDeadlines } from "../attempts/deadlines.ts";
import { ClosedError, JobAbortedError, JobError, JobOptionError } from "../errors.ts";
import { createInboxed } from "./inboxed.ts";
import { createSubscriptionInstruments } from "./instruments.ts";
import { createLane, type Lane } from "./lane.ts";
import { createOnward } from "./onward.ts";
import type { Subscription } from "./subscribe.ts";

export interface SubscriberOptions {
  readonly session: Pick<AmqpSession, "consume" | "declare" | "publisher">;
  /** Needed by subscriptions with an inbox. */
  readonly ledger?: Pick<Ledger, "events"> | undefined;
  /** What this process handles; each consumes its own queue. */
  readonly subscriptions: readonly Subscription[];
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing?: Tracing | undefined;
  /** Default `Math.random`. */
  readonly random?: (() => number) | undefined;
  /** Default `randomUUID`. */
  readonly newId?: (() => string) | undefined;
}

/** Handles events. `start`, then at the end `quiet` (take no more), `drain` (finish), dispose (let go). */
export interface Subscriber extends AsyncDisposable {
  /**
   * Declares its queues, their bindings and the retry ladder, and consumes. The broker may come later.
   * @throws JobError `WORKER_STATE_INVALID` when started before, `WARREN_CLOSED` after its end; TopologyMismatchError.
   */
  start(): Promise<void>;
  /** Takes no more; what no handler has begun goes back to the broker. */
  quiet(): Promise<void>;
  /**
   * Waits until all that was begun is settled. When the deadline aborts, the handlers' signals abort too, and a moment later their events go back
   * to the broker, without losing an attempt. Answers whether all ended by themselves.
   */
  drain(deadline: AbortSignal): Promise<boolean>;
  /** Fails while a subscription has not been consuming for half a minute. */
  health(): HealthResult;
}

/** After the drain's deadline: for handlers to notice their signal. */
const graceMs = 700;
const handBackMs = 1_000;
const longestGapMs = 30_000;

/** The broker objects of some subscriptions. */
export function topologyOf(subscriptions: readonly Subscription[]): Topology {
  return mergeTopologies(
    eventsTopology(),
    ...subscriptions.map(({ service, name, patterns, ladderMs }) =>
      eventsTopology({ service, subscriptions: [{ name, patterns }], ladderMs }),
    ),
  );
}

/** Creates a subscriber; nothing happens before `start`. @throws JobOptionError when subscriptions are missing, doubled, or lack the ledger. */
export function createSubscriber(options: SubscriberOptions): Subscriber {
  const { session, ledger, subscriptions, metrics, tracing } = options;
  const random = options.random ?? Math.random;
  const newId = options.newId ?? randomUUID;
  const log = options.log.child({ component: "subscriber" });
  check(subscriptions, ledger);

  const letGo = new AbortController();
  const deadlines = createDeadlines();
  const publisher = session.publisher();
  const redeclare = () => session.declare(topologyOf(subscriptions));
  const onward = createOnward({ publisher, redeclare, log, random, signal: letGo.signal });
  const lanes = subscriptions.map((subscription): Lane => {
    const inboxed =
      subscription.inbox && ledger !== undefined
        ? createInboxed({ ledger, subscription: subscription.id, log, random, signal: letGo.signal })
        : undefined;
    const instruments = createSubscriptionInstruments(metrics, subscription);
    return createLane({
      subscription,
      session,
      onward,
      inboxed,
      deadlines,
      instruments,
      log,
      tracing,
      random,
      newId,
    });
  });
  let state: "new" | "running" | "quiet" | "closed" = "new";
  let consumingAt = performance.now();

  async function all(deadline: AbortSignal): Promise<boolean> {
    return (await Promise.all(lanes.map((lane) => lane.drain(deadline)))).every(Boolean);
  }

  return {
    async start() {
      if (state === "closed") throw new ClosedError("start: the subscriber");
      if (state !== "new") throw new JobError("WORKER_STATE_INVALID", `start: the subscriber is ${state}`);
      state = "running";
      await redeclare();
      for (const lane of lanes) await lane.open();
      log.info({ subscriptions: subscriptions.map(({ id, patterns }) => ({ id, patterns })) }, "subscriber started");
    },
    async quiet() {
      if (state !== "running") return;
      state = "quiet";
      await Promise.all(lanes.map((lane) => lane.quiet()));
    },
    async drain(deadline) {
      if (await all(deadline)) return true;
      const reason = new JobAbortedError("SUBSCRIBER_STOPPING", "the subscriber stops, and its time to finish is over");
      for (const lane of lanes) lane.abort(reason);
      if (await all(AbortSignal.timeout(graceMs))) return false;
      for (const lane of lanes) lane.giveUp();
      letGo.abort();
      await all(AbortSignal.timeout(handBackMs));
      return false;
    },
    health() {
      const gaps = state === "running" ? lanes.filter((lane) => !lane.consuming()) : [];
      if (gaps.length === 0) consumingAt = performance.now();
      if (performance.now() - consumingAt < longestGapMs) return { status: "ok" };
      return {
        status: "failing",
        detail: `not consuming: ${gaps.map(({ subscription }) => subscription.id).join(", ")}`,
      };
    },
    async [Symbol.asyncDispose]() {
      if (state === "closed") return;
      state = "closed";
      letGo.abort();
      await Promise.all(lanes.map((lane) => lane.quiet()));
      await Promise.all(lanes.map((lane) => lane[Symbol.asyncDispose]()));
      deadlines.dispose();
      await publisher[Symbol.asyncDispose]();
    },
  };
}

function check(subscriptions: readonly Subscription[], ledger: SubscriberOptions["ledger"]): void {
  if (subscriptions.length === 0) throw invalid("subscriptions", "expected at least one");
  const ids = subscriptions.map(({ id }) => id);
  const doubled = ids.find((id, index) => ids.indexOf(id) !== index);
  if (doubled !== undefined) throw invalid("subscriptions", `two are called ${doubled}`);
  const inboxed = subscriptions.find(({ inbox }) => inbox);
  if (inboxed !== undefined && ledger === undefined) throw invalid("ledger", `needed by the inbox of ${inboxed.id}`);
}

function invalid(path: string, why: string): JobOptionError {
  return new JobOptionError("JOB_OPTION_INVALID", `createSubscriber: "${path}": ${why}`, { details: { path } });
}
