import { randomUUID } from "node:crypto";
import { type AmqpSession, jobsTopology } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import { type Logger, type Metrics, type Tracing } from "@warren/observability";
import { createQueueRoom } from "./caps.ts";
import { createClaimer } from "./claimer.ts";
import { createClient } from "./client.ts";
import { createActivity } from "./control/activity.ts";
import { abortCancelled } from "./control/cancelling.ts";
import { openControlChannel } from "./control/control-channel.ts";
import { createRecords } from "./control/records.ts";
import { createDeadlines } from "./deadlines.ts";
import { JobAbortedError, JobError } from "./errors.ts";
import { createExecutor } from "./executor.ts";
import { type JobHandler, tabulate } from "./handle.ts";
import { Inbox } from "./inbox.ts";
import { createInstruments } from "./instruments.ts";
import { createIntake } from "./intake.ts";
import { createLease } from "./lease.ts";
import { createLoadWatch } from "./load-watch.ts";
import { assertPayloads } from "./payloads/equipment.ts";
import type { Payloads } from "./payloads/seal.ts";
import { type RecycleReason, spreadLimits, startRecycler } from "./recycle.ts";
import { Running } from "./running.ts";
import { createSettler } from "./settle.ts";
import { createSlots } from "./slots.ts";
import { createTurns } from "./turns.ts";
import { type AutoscaleOptions, parseConcurrency, parseWorkerOptions, type RecycleOptions } from "./worker-options.ts";

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
  /** Messages it may hold unclaimed, for each queue. Default: its concurrency, at most 200. */
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

/**
 * Runs jobs. `start`, then at the end `quiet` (take no more), `drain` (finish), dispose (let go).
 */
export interface Worker extends AsyncDisposable {
  /** The id under which it claims now; another after it was taken for dead. */
  readonly id: string;
  /**
   * Registers, declares its queues and consumes. Needs the ledger; the broker may come later.
   * @throws JobError `WORKER_STATE_INVALID` when started before; LedgerError; TopologyMismatchError.
   */
  start(): Promise<void>;
  /**
   * Takes no more until `resume`; what it has not claimed goes to other workers at once. Resolves when its running jobs have ended and are
   * settled. @throws JobError `WORKER_STATE_INVALID` unless it runs or is paused.
   */
  pause(): Promise<void>;
  /** Takes again. @throws JobError `WORKER_STATE_INVALID` unless it runs or is paused. */
  resume(): void;
  /**
   * The most handlers at once from now on; where the worker finds the number itself, it goes on from there. What runs beyond it runs to its
   * end. @throws JobOptionError when it is out of range.
   */
  setConcurrency(concurrency: number): void;
  readonly concurrency: number;
  /** Takes no more: what it has not claimed goes to other workers at once; what runs, runs on. */
  quiet(): Promise<void>;
  /**
   * Waits until all running jobs have ended and are settled. When the deadline aborts, their signals abort too, and a moment later
   * they are handed back, without losing an attempt. Answers whether all ended by themselves.
   */
  drain(deadline: AbortSignal): Promise<boolean>;
  readonly state: WorkerState;
}

export type WorkerState = "new" | "running" | "paused" | "quiet" | "closed";

/** After the drain's deadline: for handlers to notice their signal, and for the ledger to hear of it. */
const graceMs = 700;
const handBackMs = 1_000;

/** Creates a worker; nothing happens before `start`. @throws JobOptionError when an option is unknown or out of range. */
export function createWorker(options: WorkerOptions): Worker {
  const parsed = parseWorkerOptions(options);
  const handlers = tabulate(options.jobs);
  const { ledger, session, metrics, tracing, jobs } = options;
  const random = options.random ?? Math.random;
  const newId = options.newId ?? randomUUID;
  const payloads = assertPayloads(options.jobs, options.payloads);
  const log = options.log.child({ component: "worker" });
  let state: WorkerState = "new";
  let recycler: Disposable | undefined;
  let stopListening: (() => void) | undefined;
  let control: AsyncDisposable | undefined;

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
    settler,
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
    run(job, claimedBy) {
      watch?.waited(job.waitMs);
      void executor.run(job, claimedBy);
    },
    knows: (id, attempt) => running.has(id, attempt),
    // outcomes that cannot be settled stay in memory: bounded, and the ledger could not answer a claim either
    ready: () => state === "running" && !intake.gathering && settler.pending < 2 * slots.size + 100,
    leaseEnded: (id) => void lease.lost(id),
    log,
    random,
  });
  const intake = createIntake({
    session,
    publisher,
    inbox,
    prefetch: (queue) => Math.min(parsed.prefetch(slots.size), room.limit(queue)),
    log,
    newId,
    arrived: () => claimer.poke(),
    foreign: () => instruments.foreignMessages.inc(),
    sentOn: (how) => (how === "split" ? instruments.splitBundles : instruments.sentOn).inc(),
    renewed: () => instruments.resubscribed.inc(),
    expectedWaitMs: () => Math.max(slots.stuckMs, (executor.averageRunMs * inbox.unasked) / slots.size),
    averageRunMs: (queue) => executor.averageRunMsOf(queue),
    freeSlots: (queue) => Math.min(slots.free, room.of(queue)),
  });

  function resize(concurrency: number): void {
    if (concurrency === slots.size) return;
    log.info({ from: slots.size, to: concurrency }, "concurrency changed");
    slots.resize(concurrency);
    intake.prefetchChanged();
    if (state === "running" || state === "paused") void lease.resized();
  }

  /** Finishes what it has, and then asks to be replaced. */
  async function retireFor(
    reason: RecycleReason,
    { drainMs, onRecycle }: Required<Pick<RecycleOptions, "drainMs" | "onRecycle">>,
  ) {
    log.info({ ...reason }, "the worker has served long enough; finishing");
    await worker.quiet();
    await worker.drain(AbortSignal.timeout(drainMs));
    if (state === "quiet") onRecycle(reason);
  }

  function assertStarted(what: string): void {
    if (state !== "running" && state !== "paused")
      throw new JobError("WORKER_STATE_INVALID", `${what}: the worker is ${state}`);
  }

  const worker: Worker = {
    get id() {
      return lease.id;
    },
    get state() {
      return state;
    },
    get concurrency() {
      return slots.size;
    },
    async start() {
      if (state !== "new") throw new JobError("WORKER_STATE_INVALID", `start: the worker is ${state}`);
      state = "running";
      await Promise.all(jobs.map(async (handler) => handler.open?.({ log, metrics })));
      await lease.open();
      await session.declare(jobsTopology({ queues: handlers.queues }));
      stopListening = ledger.flows.onReady((jobs) => client.announce(jobs));
      control = openControlChannel({
        session,
        handlers: {
          listening: () => lease.refresh(),
          watch: () => lease.refresh(),
          cancel: (workers) => workers.includes(lease.id) && lease.refresh(),
        },
        log,
      });
      await intake.open(handlers.queues);
      watch?.start();
      const { recycle } = parsed;
      if (recycle !== undefined) {
        recycler = startRecycler({
          limits: spreadLimits(recycle, random),
          jobs: () => executor.endedAttempts,
          crossed(reason) {
            retireFor(reason, recycle).catch((error: unknown) => log.fatal({ err: error }, "recycling failed"));
          },
        });
      }
      log.info({ workerId: lease.id, queues: handlers.queues, concurrency: slots.size }, "worker started");
    },
    async pause() {
      assertStarted("pause");
      state = "paused";
      await intake.quiet();
      await claimer.answered();
      // a claim that failed meanwhile has put its jobs back here
      inbox.handBack();
      await running.idle(new AbortController().signal);
    },
    resume() {
      assertStarted("resume");
      state = "running";
      intake.resume();
      claimer.poke();
    },
    setConcurrency(concurrency) {
      resize(parseConcurrency(concurrency, jobs));
    },
    async quiet() {
      if (state !== "running" && state !== "paused") return;
      state = "quiet";
      watch?.stop();
      recycler?.[Symbol.dispose]();
      await claimer.stop();
      await intake.quiet();
    },
    async drain(deadline) {
      if (await running.idle(deadline)) return true;
      running.abort(new JobAbortedError("JOB_WORKER_STOPPING", "the worker stops, and its time to finish is over"));
      if (await running.idle(AbortSignal.timeout(graceMs))) return false;
      running.giveUpAll({ kind: "stopping" });
      await running.idle(AbortSignal.timeout(handBackMs));
      return false;
    },
    async [Symbol.asyncDispose]() {
      if (state === "closed") return;
      const started = state !== "new";
      state = "closed";
      watch?.stop();
      recycler?.[Symbol.dispose]();
      await claimer.stop();
      if (started) await intake.quiet();
      await intake[Symbol.asyncDispose]();
      stopListening?.();
      await control?.[Symbol.asyncDispose]();
      settler.dispose();
      records.dispose();
      deadlines.dispose();
      await lease.close();
      await Promise.all(jobs.map(async (handler) => handler.close?.()));
      await client[Symbol.asyncDispose]();
      await publisher[Symbol.asyncDispose]();
    },
  };
  return worker;
}
