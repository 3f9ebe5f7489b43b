import { setTimeout as sleep } from "node:timers/promises";
import type { BeatAnswer, Ledger } from "@warren/ledger";
import { type Logger } from "@warren/observability";

export interface HeartbeatOptions {
  readonly ledger: Pick<Ledger, "beat">;
  readonly workerId: () => string;
  /** The ledger says that this id's lease is over. Awaited before the next beat. */
  readonly leaseEnded: (workerId: string) => Promise<void>;
  /** What the ledger answered to a beat of a living lease. Must not throw. */
  readonly answered: (answer: BeatAnswer) => void;
  readonly log: Logger;
  /** Default 3 s, against a lease of 15 s: four beats may fail. */
  readonly intervalMs?: number;
}

/** Keeps the worker's lease. One lease covers all its running jobs. */
export interface Heartbeat {
  /** When the ledger last confirmed the lease, monotonic milliseconds. */
  readonly confirmedAt: number;
  /** Beats now: something in the ledger may have changed. However often it is called, one beat is under way and one follows. */
  soon(): void;
  stop(): Promise<void>;
}

const defaultIntervalMs = 3_000;

/** Starts beating. A failed beat is tried again at the next interval: the ledger needs to see a whole lease without one. */
export function startHeartbeat(options: HeartbeatOptions): Heartbeat {
  const { ledger, workerId, leaseEnded, answered, log } = options;
  const intervalMs = options.intervalMs ?? defaultIntervalMs;
  const stopping = new AbortController();
  let confirmedAt = performance.now();
  let waking = new AbortController();

  async function beat(): Promise<void> {
    const id = workerId();
    try {
      const answer = await ledger.beat(id);
      if (answer.alive) {
        confirmedAt = performance.now();
        answered(answer);
      } else await leaseEnded(id);
    } catch (error) {
      const silentMs = Math.round(performance.now() - confirmedAt);
      log.warn({ workerId: id, silentMs, err: error }, "heartbeat failed; trying again");
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const signal = AbortSignal.any([stopping.signal, waking.signal]);
      await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
      if (waking.signal.aborted) waking = new AbortController();
      if (!stopping.signal.aborted) await beat();
    }
  }

  const running = run();
  return {
    get confirmedAt() {
      return confirmedAt;
    },
    soon: () => waking.abort(),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
