import { randomUUID } from "node:crypto";
import type { AmqpSession } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { Logger, Metrics, Tracing } from "@warren/observability";
import { createDeadlines } from "../attempts/deadlines.ts";
import { createExecutor } from "../attempts/executor.ts";
import { Running } from "../attempts/running.ts";
import { createSettler } from "../attempts/settle.ts";
import { createActivity } from "../control/activity.ts";
import { abortCancelled } from "../control/cancelling.ts";
import { createRecords } from "../control/records.ts";
import { createClient } from "../enqueue/client.ts";
import { type JobHandler, tabulate } from "../handle.ts";
import { createInstruments } from "../instruments.ts";
import { assertPayloads } from "../payloads/equipment.ts";
import type { Payloads } from "../payloads/seal.ts";
import { createClaimer } from "./claimer.ts";
import { createEarlyClaims } from "./early-claims.ts";
import { Inbox } from "./inbox.ts";
import { createIntake } from "./intake.ts";
import { createLease } from "./lease.ts";
import { createLoadWatch } from "./load-watch.ts";
import { createQueueRoom } from "./queue-room.ts";
import { createSlots } from "./slots.ts";
import { createTurns } from "./turns.ts";
import { type AutoscaleOptions, parseWorkerOptions, type RecycleOptions } from "./worker-options.ts";

export interface WorkerOptions {
  readonly ledger: Ledger;
  readonly session: Pick<AmqpSession, "consume" | "declare" | "depth" | "listen" | "publisher">;
  /** What this worker handles; it consumes the queues of these definitions. */
  readonly jobs: readonly JobHandler[];
  /**
   * Weights of its queues: `{ critical: 6, default: 3, low: 1 }`. While several have work, each gets its share of the starts; a queue without
   * work costs the others nothing, and none starves. Default 1 each.
   */
  readonly queues?: Readonly<Record<string, number>>;
  /** The most handlers at once, over all its queues, or bounds between which it finds the number itself. Default 10. */
  readonly concurrency?: number | AutoscaleOptions;
  /**
   * Messages it may hold unclaimed, for each queue. Default: its concurrency, at most 200. Beside them it holds those of jobs that have just
   * begun, for a quarter of a second at most while Postgres answers.
   */
  readonly prefetch?: number;
  /** Version of the service, shown with the worker. Default empty. */
  readonly version?: string;
  /** How often it tells the ledger that it lives. Default 3 s; the lease is 15 s. */
  readonly heartbeatMs?: number;
  /** When it stops taking jobs and asks to be replaced. Default never. */
  readonly recycle?: RecycleOptions;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing?: Tracing;
  /** Key ring and store, for definitions that encrypt or offload. */
  readonly payloads?: Payloads;
  /** Default `Math.random`. */
  readonly random?: () => number;
  /** Default `randomUUID`. */
  readonly newId?: () => string;
}

/** What the parts ask about the worker's life. */
interface Life {
  /** It takes jobs now. */
  readonly mayClaim: () => boolean;
  /** The ledger knows it. */
  readonly hasLease: () => boolean;
}

/** What the broker can count. */
const mostUnacked = 65_535;

/** The parts of a worker, joined. Nothing happens yet. @throws JobOptionError when an option is unknown or out of range. */
export function assembleWorker(options: WorkerOptions, life: Life) {
  const parsed = parseWorkerOptions(options);
  const handlers = tabulate(options.jobs);
  const { ledger, session, metrics, tracing, jobs } = options;
  const random = options.random ?? Math.random;
  const newId = options.newId ?? randomUUID;
  const payloads = assertPayloads(options.jobs, options.payloads);
  const log = options.log.child({ component: "worker" });

  const durableQueues = new Set(jobs.filter((job) => job.durableStart).map(({ definition }) => definition.queue));
  const isDurable = (queue: string): boolean => durableQueues.has(queue);
  const room = createQueueRoom(jobs);
  const inbox = new Inbox(createTurns(parsed.weights), room);
  const running = new Running();
  const deadlines = createDeadlines();
  const slots = createSlots(parsed.concurrency, {
    freed: () => claimer.poke(),
    changed() {
      watch?.slotsTaken();
      intake.slotsChanged();
    },
  });
  const settler = createSettler({ ledger, log, random, onSettled: () => claimer.poke() });
  const early = createEarlyClaims({ ledger, settler, inbox, arrived: () => claimer.poke(), log });
  const publisher = session.publisher();
  const activity = createActivity(publisher, log);
  const records = createRecords({ ledger, activity, log });
  const client = createClient({ ledger, publisher, log, metrics, payloads, newId });
  const instruments = createInstruments(metrics, {
    busySlots: () => slots.taken,
    freeSlots: () => slots.free,
    concurrency: () => slots.size,
    waitingMessages: () => inbox.messages,
    unsettled: () => settler.pending,
    abandonedHandlers: () => executor.abandonedHandlers,
  });
  const lease = createLease({
    ledger,
    running,
    queues: handlers.queues,
    concurrency: () => slots.size,
    version: parsed.version,
    heartbeatMs: parsed.heartbeatMs,
    newId,
    renewed() {
      instruments.leasesLost.inc();
      claimer.poke();
    },
    answered(answer) {
      abortCancelled(running, answer, () => lease.refresh());
      activity.watched(answer.watches);
    },
    log,
  });
  const watch =
    parsed.scale &&
    createLoadWatch({
      limits: parsed.scale,
      everyMs: parsed.scale.everyMs,
      concurrency: () => slots.size,
      takenSlots: () => slots.taken,
      oldestWaitMs: () => inbox.oldestWaitMs(performance.now()),
      scaleTo: resize,
    });
  const executor = createExecutor({
    records,
    activity,
    handlers,
    ledger,
    settler: early,
    slots,
    running,
    deadlines,
    instruments,
    client,
    jobs,
    payloads,
    ended: (queue) => room.give(queue, 1),
    log,
    tracing,
    random,
  });
  const claimer = createClaimer({
    ledger,
    inbox,
    slots,
    workerId: () => lease.id,
    isDurable,
    run(job, claimedBy, message) {
      if (!early.begin(job, claimedBy, message)) {
        room.give(job.queue, 1);
        return false;
      }
      watch?.waited(job.waitMs);
      void executor.run(job, claimedBy);
      return true;
    },
    knows: (id, attempt) => running.has(id, attempt),
    // outcomes that cannot be settled stay in memory: bounded, and the ledger could not answer a claim either
    ready: () => life.mayClaim() && !intake.gathering && settler.pending < 2 * slots.size + 100,
    leaseEnded: (id) => void lease.lost(id),
    log,
    random,
  });
  const intake = createIntake({
    session,
    publisher,
    inbox,
    prefetch(queue) {
      const [unclaimed, begun] = [parsed.prefetch(slots.size), isDurable(queue) ? 0 : slots.size];
      return Math.min(mostUnacked, Math.min(unclaimed, room.limit(queue)) + Math.min(begun, room.limit(queue)));
    },
    prove: () => early.look(),
    log,
    newId,
    arrived: () => claimer.poke(),
    foreign: () => instruments.foreignMessages.inc(),
    sentOn: (how) => (how === "split" ? instruments.splitBundles : instruments.sentOn).inc(),
    renewed: () => instruments.resubscribed.inc(),
    expectedWaitMs: () => Math.max(slots.stuckMs, (executor.pace.averageMs * inbox.unasked) / slots.size),
    averageRunMs: (queue) => executor.pace.averageMsOf(queue),
    freeSlots: (queue) => Math.min(slots.free, room.of(queue)),
  });

  function resize(concurrency: number): void {
    if (concurrency === slots.size) return;
    log.info({ from: slots.size, to: concurrency }, "concurrency changed");
    slots.resize(concurrency);
    intake.prefetchChanged();
    if (life.hasLease()) void lease.resized();
  }

  return {
    handlers,
    recycle: parsed.recycle,
    random,
    log,
    inbox,
    running,
    slots,
    publisher,
    client,
    lease,
    watch,
    executor,
    claimer,
    intake,
    early,
    resize,
    /** Whatever was to be told or timed is given up. */
    letGo(): void {
      settler.dispose();
      early[Symbol.dispose]();
      records.dispose();
      deadlines.dispose();
    },
  };
}
