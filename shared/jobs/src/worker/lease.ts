import { hostname } from "node:os";
import type { BeatAnswer, Ledger } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Running } from "../attempts/running.ts";
import { JobAbortedError } from "../errors.ts";
import { type Heartbeat, startHeartbeat } from "./heartbeat.ts";

export interface LeaseOptions {
  readonly ledger: Pick<Ledger, "registerWorker" | "resizeWorker" | "retireWorker" | "beat">;
  readonly running: Running;
  readonly queues: readonly string[];
  readonly concurrency: () => number;
  readonly version: string;
  readonly heartbeatMs: number;
  readonly newId: () => string;
  /** The worker was taken for dead, and goes on under a new id. */
  readonly renewed: () => void;
  /** What the ledger answered to a beat. */
  readonly answered: (answer: BeatAnswer) => void;
  readonly log: Logger;
}

/** The worker's right to run jobs, under an id that lasts until the ledger takes the worker for dead. */
export interface Lease {
  readonly id: string;
  /** Registers and beats from now on. */
  open(): Promise<void>;
  /** The ledger says that this id's lease is over. */
  lost(id: string): Promise<void>;
  /** Beats now, to hear what is new. */
  refresh(): void;
  /** Tells the ledger the present concurrency. Never rejects. */
  resized(): Promise<void>;
  /** Stops beating; whatever still runs under it is handed back. Never rejects. */
  close(): Promise<void>;
}

export function createLease(options: LeaseOptions): Lease {
  const { ledger, running, queues, version, newId, log } = options;
  let id: string = newId();
  let closed = false;
  let heartbeat: Heartbeat | undefined;
  let renewing: Promise<void> | undefined;

  async function register(workerId: string): Promise<void> {
    const concurrency = options.concurrency();
    await ledger.registerWorker({ id: workerId, host: hostname(), pid: process.pid, version, queues, concurrency });
  }

  /** This worker was taken for dead: its jobs run elsewhere. It stops them here, and goes on under a new id. */
  function lost(lostId: string): Promise<void> {
    if (lostId !== id || closed) return Promise.resolve();
    renewing ??= renew(lostId).finally(() => {
      renewing = undefined;
    });
    return renewing;
  }

  async function renew(lostId: string): Promise<void> {
    const reason = new JobAbortedError("JOB_LEASE_LOST", "the worker was silent for longer than its lease");
    const abortedJobs = running.abort(reason, (attempt) => attempt.workerId === lostId);
    const next = newId();
    await register(next);
    id = next;
    log.error({ lostId, workerId: id, abortedJobs }, "lease lost; going on under a new id");
    options.renewed();
  }

  return {
    get id() {
      return id;
    },
    async open() {
      await register(id);
      const { heartbeatMs: intervalMs, answered } = options;
      heartbeat = startHeartbeat({ ledger, workerId: () => id, leaseEnded: lost, answered, log, intervalMs });
    },
    lost,
    refresh: () => heartbeat?.soon(),
    async resized() {
      try {
        await ledger.resizeWorker(id, options.concurrency());
      } catch (error) {
        log.warn({ err: error }, "the ledger was not told of the new concurrency");
      }
    },
    async close() {
      closed = true;
      await heartbeat?.stop();
      await renewing?.catch(() => undefined);
      if (heartbeat === undefined) return;
      try {
        const { handedBack } = await ledger.retireWorker(id);
        log.info({ workerId: id, handedBack }, "worker ended");
      } catch (error) {
        log.warn({ workerId: id, err: error }, "the ledger was not told that the worker ended; its lease will");
      }
    },
  };
}
