import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { type AmqpSession, jobsTopology } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import { type Logger, type Metrics, type Tracing } from "@warren/observability";
import { createClaimer } from "./claimer.ts";
import { createClient } from "./client.ts";
import { createDeadlines } from "./deadlines.ts";
import { JobAbortedError, JobError } from "./errors.ts";
import { createExecutor } from "./executor.ts";
import { type JobHandler, tabulate } from "./handle.ts";
import { type Heartbeat, startHeartbeat } from "./heartbeat.ts";
import { Inbox } from "./inbox.ts";
import { createInstruments } from "./instruments.ts";
import { createIntake } from "./intake.ts";
import { Running } from "./running.ts";
import { createSettler } from "./settle.ts";
import { createSlots } from "./slots.ts";
import { parseWorkerOptions } from "./worker-options.ts";

export interface WorkerOptions {
  readonly ledger: Ledger;
  readonly session: Pick<AmqpSession, "consume" | "declare" | "publisher">;
  /** What this worker handles; it consumes the queues of these definitions. */
  readonly jobs: readonly JobHandler[];
  /** The most handlers at once, over all its queues. Default 10. */
  readonly concurrency?: number;
  /** Messages it may hold unclaimed, for each queue. Default: its concurrency, at most 200. */
  readonly prefetch?: number;
  /** Version of the service, shown with the worker. Default empty. */
  readonly version?: string;
  /** How often it tells the ledger that it lives. Default 3 s; the lease is 15 s. */
  readonly heartbeatMs?: number;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing?: Tracing;
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
  /** Takes no more: what it has not claimed goes to other workers at once; what runs, runs on. */
  quiet(): Promise<void>;
  /**
   * Waits until all running jobs have ended and are settled. When the deadline aborts, their signals abort too, and a moment later
   * they are handed back, without losing an attempt. Answers whether all ended by themselves.
   */
  drain(deadline: AbortSignal): Promise<boolean>;
  readonly state: WorkerState;
}

export type WorkerState = "new" | "running" | "quiet" | "closed";

/** After the drain's deadline: for handlers to notice their signal, and for the ledger to hear of it. */
const graceMs = 700;
const handBackMs = 1_000;

/** Creates a worker; nothing happens before `start`. @throws JobOptionError when an option is unknown or out of range. */
export function createWorker(options: WorkerOptions): Worker {
  const { concurrency, prefetch, version, heartbeatMs } = parseWorkerOptions(options);
  const { ledger, session, metrics, tracing } = options;
  const random = options.random ?? Math.random;
  const newId = options.newId ?? randomUUID;
  const handlers = tabulate(options.jobs);
  const log = options.log.child({ component: "worker" });

  let state: WorkerState = "new";
  let workerId: string = newId();
  let renewing: Promise<void> | undefined;
  let heartbeat: Heartbeat | undefined;

  const inbox = new Inbox();
  const running = new Running();
  const deadlines = createDeadlines();
  const slots = createSlots(concurrency, () => claimer.poke());
  const settler = createSettler({ ledger, log, random, onSettled: () => claimer.poke() });
  const publisher = session.publisher();
  const client = createClient({ ledger, publisher, log, metrics, newId });
  const instruments = createInstruments(metrics, {
    busySlots: () => concurrency - slots.free,
    freeSlots: () => slots.free,
    waitingMessages: () => inbox.messages,
    unsettled: () => settler.pending,
    abandonedHandlers: () => executor.abandonedHandlers,
  });
  const executor = createExecutor({
    handlers,
    ledger,
    settler,
    slots,
    running,
    deadlines,
    instruments,
    enqueue: (definition, payload, given) => client.enqueue(definition, payload, given),
    log,
    tracing,
    random,
  });
  const claimer = createClaimer({
    ledger,
    inbox,
    slots,
    workerId: () => workerId,
    run: (job, claimedBy) => executor.run(job, claimedBy),
    knows: (id, attempt) => running.has(id, attempt),
    // outcomes that cannot be settled stay in memory: bounded, and the ledger could not answer a claim either
    ready: () => settler.pending < 2 * concurrency + 100,
    leaseEnded: (id) => void renewLease(id),
    log,
    random,
  });
  const intake = createIntake({
    session,
    publisher,
    inbox,
    prefetch,
    log,
    newId,
    arrived: () => claimer.poke(),
    foreign: () => instruments.foreignMessages.inc(),
    split: () => instruments.splitBundles.inc(),
    expectedWaitMs: () => Math.max(slots.stuckMs, (executor.averageRunMs * inbox.unasked) / concurrency),
  });

  async function register(id: string): Promise<void> {
    await ledger.registerWorker({
      id,
      host: hostname(),
      pid: process.pid,
      version,
      queues: [...handlers.queues],
      concurrency,
    });
  }

  /** This worker was taken for dead: its jobs run elsewhere. It stops them here, and goes on under a new id. */
  function renewLease(lostId: string): Promise<void> {
    if (lostId !== workerId || state === "closed") return Promise.resolve();
    renewing ??= renew(lostId).finally(() => {
      renewing = undefined;
    });
    return renewing;
  }

  async function renew(lostId: string): Promise<void> {
    instruments.leasesLost.inc();
    const reason = new JobAbortedError("JOB_LEASE_LOST", "the worker was silent for longer than its lease");
    const aborted = running.abort(reason, (attempt) => attempt.workerId === lostId);
    const next = newId();
    await register(next);
    workerId = next;
    log.error({ lostId, workerId, abortedJobs: aborted }, "lease lost; going on under a new id");
    claimer.poke();
  }

  return {
    get id() {
      return workerId;
    },
    get state() {
      return state;
    },
    async start() {
      if (state !== "new") throw new JobError("WORKER_STATE_INVALID", `start: the worker is ${state}`);
      state = "running";
      await register(workerId);
      heartbeat = startHeartbeat({
        ledger,
        workerId: () => workerId,
        leaseEnded: renewLease,
        log,
        intervalMs: heartbeatMs,
      });
      await session.declare(jobsTopology({ queues: handlers.queues }));
      await intake.open(handlers.queues);
      log.info({ workerId, queues: handlers.queues, concurrency, prefetch }, "worker started");
    },
    async quiet() {
      if (state !== "running") return;
      state = "quiet";
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
      await claimer.stop();
      if (started) await intake.quiet();
      await intake[Symbol.asyncDispose]();
      await heartbeat?.stop();
      await renewing?.catch(() => undefined);
      settler.dispose();
      deadlines.dispose();
      if (started) await retire();
      await client[Symbol.asyncDispose]();
      await publisher[Symbol.asyncDispose]();
    },
  };

  /** Whatever still runs is handed back, and nobody has to wait for the lease to end. */
  async function retire(): Promise<void> {
    try {
      const { handedBack } = await ledger.retireWorker(workerId);
      log.info({ workerId, handedBack }, "worker ended");
    } catch (error) {
      log.warn({ workerId, err: error }, "the ledger was not told that the worker ended; its lease will");
    }
  }
}
