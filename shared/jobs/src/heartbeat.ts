import { setTimeout as sleep } from "node:timers/promises";
import type { Ledger } from "@warren/ledger";
import { type Logger } from "@warren/observability";

export interface HeartbeatOptions {
  readonly ledger: Pick<Ledger, "beat">;
  readonly workerId: () => string;
  /** The ledger says that this id's lease is over. Awaited before the next beat. */
  readonly leaseEnded: (workerId: string) => Promise<void>;
  readonly log: Logger;
  /** Default 3 s, against a lease of 15 s: four beats may fail. */
  readonly intervalMs?: number;
}

/** Keeps the worker's lease. One lease covers all its running jobs. */
export interface Heartbeat {
  /** When the ledger last confirmed the lease, monotonic milliseconds. */
  readonly confirmedAt: number;
  stop(): Promise<void>;
}

const defaultIntervalMs = 3_000;

/** Starts beating. A failed beat is tried again at the next interval: the ledger needs to see a whole lease without one. */
export function startHeartbeat(options: HeartbeatOptions): Heartbeat {
  const { ledger, workerId, leaseEnded, log } = options;
  const intervalMs = options.intervalMs ?? defaultIntervalMs;
  const stopping = new AbortController();
  let confirmedAt = performance.now();

  async function beat(): Promise<void> {
    const id = workerId();
    try {
      const { alive } = await ledger.beat(id);
      if (alive) confirmedAt = performance.now();
      else await leaseEnded(id);
    } catch (error) {
      const silentMs = Math.round(performance.now() - confirmedAt);
      log.warn({ workerId: id, silentMs, err: error }, "heartbeat failed; trying again");
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await sleep(intervalMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (!stopping.signal.aborted) await beat();
    }
  }

  const running = run();
  return {
    get confirmedAt() {
      return confirmedAt;
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
