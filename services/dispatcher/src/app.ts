import { randomUUID } from "node:crypto";
import { type AmqpSession, controlTopology, eventsTopology, jobsTopology, mergeTopologies } from "@warren/amqp";
import type { LeaseRule, Ledger } from "@warren/ledger";
import type { HealthResult, Logger, Metrics } from "@warren/observability";
import { governBreakers } from "./breakers.ts";
import { runBulk, sweepControl } from "./bulk.ts";
import { createCondemn } from "./condemn.ts";
import type { DispatcherConfig } from "./config.ts";
import { createDeadLetters } from "./dead-letters.ts";
import { followFlows, stopFlows } from "./flows.ts";
import { measureQueues } from "./gauges.ts";
import { createGovernor } from "./govern.ts";
import { createLoop, type Found, type Loop } from "./loop.ts";
import { findLost } from "./lost.ts";
import { relayOutbox } from "./outbox.ts";
import { storeOf, sweepStore } from "./payloads.ts";
import { createKnownQueues } from "./queues.ts";
import { releaseDue, releaseUnsent } from "./release.ts";
import { rescueWorkers } from "./rescue.ts";
import { fireSchedules } from "./schedules.ts";
import { createSender } from "./sender.ts";

export interface DispatcherOptions {
  readonly ledger: Ledger;
  readonly session: AmqpSession;
  readonly config: DispatcherConfig;
  readonly version: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** A loop has died, which nothing but a mistake in it can cause: the process should end. */
  readonly onDeath: (error: unknown) => void;
  /** For tests: when a worker counts as dead. Default 15 s of silence. */
  readonly leaseRule?: LeaseRule;
  readonly random?: () => number;
  readonly newId?: () => string;
}

/** Sends what must be sent, and takes back what was lost. Any number of them share the work. */
export interface Dispatcher extends AsyncDisposable {
  start(): Promise<void>;
  /** Takes no more; resolves when the rounds under way have ended. */
  quiet(): Promise<void>;
  /** Resolves when the dead letters in hand are recorded, or the deadline aborts. */
  drain(deadline: AbortSignal): Promise<boolean>;
  /** Fails when a loop has not had a good round for a minute. */
  health(): HealthResult;
}

const rescueMs = 1_000;
/** How late a schedule that was just made may be noticed; otherwise the loop wakes when the next one is due. */
const schedulesMs = 250;
const breakersMs = 500;
const stoppingFlowsMs = 1_000;
const bulkMs = 250;
const controlSweepMs = 5_000;
const queuesMs = 2_000;
const lostMs = 5_000;
const upkeepMs = 3_600_000;
const payloadsMs = 30_000;
/** Loops whose failure holds up no job. */
const unhurried: ReadonlySet<string> = new Set(["upkeep", "payloads"]);
const longestSilenceMs = 60_000;

/** Creates a dispatcher; nothing happens before `start`. Needs no broker and no database to start: it waits for both. */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { ledger, session, config, version, log, metrics, onDeath, leaseRule } = options;
  const random = options.random ?? Math.random;
  const newId = options.newId ?? randomUUID;
  const publisher = session.publisher();
  const condemn = createCondemn({ ledger, log, newId, version });
  const deadLetters = createDeadLetters({ session, ledger, condemn, log, metrics, random });
  const queues = createKnownQueues(session, (queue) => deadLetters.watch(queue));
  const sender = createSender({ publisher, ledger, queues, log, metrics, newId });

  const governor = createGovernor({ ledger, session, sender, log, metrics });

  /** Queues of living workers and of waiting jobs; a queue stays known as long as this process lives. */
  async function learnQueues(): Promise<Found> {
    const [ready, workers] = await Promise.all([ledger.readyQueues(), ledger.beats()]);
    await queues.learn([...ready, ...workers.flatMap((worker) => worker.queues)]);
    return "idle";
  }

  async function upkeep(): Promise<Found> {
    const {
      WARREN_RETENTION_DAYS: retentionDays,
      WARREN_REQUEST_RETENTION_DAYS: requestRetentionDays = retentionDays,
      WARREN_DEDUPE_DAYS: dedupeDays,
    } = config;
    const done = await ledger.maintainPartitions({
      retentionDays,
      requestRetentionDays,
      ...(dedupeDays === undefined ? {} : { dedupeDays }),
    });
    await ledger.limits.sweep();
    const inboxSwept = await ledger.events.inbox.sweep({ retentionDays });
    log.info({ ...done, inboxSwept }, "history maintained");
    return "idle";
  }

  const loop = (name: string, idleMs: number, step: (signal: AbortSignal) => Promise<Found>): Loop =>
    createLoop({ name, idleMs, step, log, metrics, onDeath, random });
  const { WARREN_POLL_MS: poll, WARREN_LOST_AFTER_MS: sentForMs } = config;
  const loops: readonly Loop[] = [
    loop("due", poll, releaseDue({ ledger, session, sender })),
    loop("unsent", poll, releaseUnsent({ ledger, session, sender })),
    loop("govern", poll, governor.step),
    loop("outbox", poll, relayOutbox({ ledger, session, publisher, log, metrics })),
    loop("schedules", schedulesMs, fireSchedules({ ledger, session, sender, log, metrics })),
    loop("rescue", rescueMs, rescueWorkers({ ledger, sender, log, metrics, rule: leaseRule })),
    loop("breakers", breakersMs, governBreakers({ ledger, session, sender, log })),
    loop("bulk", bulkMs, runBulk({ ledger, publisher, log })),
    loop("control-sweep", controlSweepMs, sweepControl({ ledger })),
    loop("flows", poll, followFlows({ ledger, sender })),
    loop("stopping-flows", stoppingFlowsMs, stopFlows({ ledger, sender })),
    loop("queues", queuesMs, learnQueues),
    loop("lost", Math.min(lostMs, sentForMs), findLost({ ledger, session, sender, log, sentForMs })),
    loop("gauges", queuesMs, measureQueues({ ledger, session, queues, metrics })),
    loop("upkeep", upkeepMs, upkeep),
    loop("payloads", payloadsMs, sweepStore({ ledger, payloads: storeOf(config), log, metrics })),
  ];
  let disposed: Promise<void> | undefined;

  async function dispose(): Promise<void> {
    await Promise.all(loops.map((one) => one.stop()));
    await governor[Symbol.asyncDispose]();
    await deadLetters[Symbol.asyncDispose]();
    await publisher[Symbol.asyncDispose]();
  }

  return {
    async start() {
      await session.declare(mergeTopologies(jobsTopology({ queues: [] }), eventsTopology(), controlTopology));
      await deadLetters.watchUnroutable();
      await deadLetters.watchEvents();
      for (const one of loops) one.start();
      log.info({ loops: loops.map(({ name }) => name) }, "dispatcher started");
    },
    async quiet() {
      await Promise.all([...loops.map((one) => one.stop()), deadLetters.quiet()]);
    },
    drain: (deadline) => deadLetters.drain(deadline),
    health() {
      const silent = loops.filter((one) => !unhurried.has(one.name) && one.silentMs() > longestSilenceMs);
      if (silent.length === 0) return { status: "ok" };
      return { status: "failing", detail: `no good round for a minute: ${silent.map(({ name }) => name).join(", ")}` };
    },
    [Symbol.asyncDispose]() {
      disposed ??= dispose();
      return disposed;
    },
  };
}
