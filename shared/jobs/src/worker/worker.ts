import { jobsTopology } from "@warren/amqp";
import { openControlChannel } from "../control/control-channel.ts";
import { ClosedError, JobAbortedError, JobError } from "../errors.ts";
import { type RecycleReason, spreadLimits, startRecycler } from "./recycle.ts";
import { parseConcurrency, type RecycleOptions } from "./worker-options.ts";
import { assembleWorker, type WorkerOptions } from "./worker-parts.ts";

/**
 * Runs jobs. `start`, then at the end `quiet` (take no more), `drain` (finish), dispose (let go).
 */
export interface Worker extends AsyncDisposable {
  /** The id under which it claims now; another after it was taken for dead. */
  readonly id: string;
  /**
   * Registers, declares its queues and consumes. Needs the ledger; the broker may come later.
   * @throws JobError `WORKER_STATE_INVALID` when started before, `WARREN_CLOSED` after its end; LedgerError; TopologyMismatchError.
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
   * end. @throws JobOptionError when it is out of range; JobError `WARREN_CLOSED`.
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
  const { ledger, session, metrics, jobs } = options;
  let state: WorkerState = "new";
  let recycler: Disposable | undefined;
  let stopListening: (() => void) | undefined;
  let control: AsyncDisposable | undefined;
  const parts = assembleWorker(options, {
    mayClaim: () => state === "running",
    hasLease: () => state === "running" || state === "paused",
  });
  const { handlers, log, inbox, running, slots, client, lease, watch, executor, claimer, intake, early } = parts;

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
    if (state === "closed") throw new ClosedError(`${what}: the worker`);
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
      if (state === "closed") throw new ClosedError("start: the worker");
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
      const { recycle, random } = parts;
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
      if (inbox.hasUnprovedParts) await early.look();
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
      if (state === "closed") throw new ClosedError("setConcurrency: the worker");
      parts.resize(parseConcurrency(concurrency, jobs));
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
      parts.letGo();
      await lease.close();
      await Promise.all(jobs.map(async (handler) => handler.close?.()));
      await client[Symbol.asyncDispose]();
      await parts.publisher[Symbol.asyncDispose]();
    },
  };
  return worker;
}
