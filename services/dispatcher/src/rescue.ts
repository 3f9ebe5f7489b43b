import { defaultLeaseRule, type LeaseRule, type Ledger, observe, type Watching } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import type { Found } from "./loop.ts";
import type { Sender } from "./sender.ts";

export interface RescueOptions {
  readonly ledger: Pick<Ledger, "beats" | "expireWorker">;
  readonly sender: Sender;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly rule?: LeaseRule | undefined;
  /** Monotonic milliseconds. Default `performance.now`. */
  readonly now?: (() => number) | undefined;
}

/** Takes the jobs of workers that have stopped beating, and sends them to others. */
export function rescueWorkers(options: RescueOptions): () => Promise<Found> {
  const { ledger, sender, log, metrics, rule = defaultLeaseRule, now = () => performance.now() } = options;
  const expiredWorkers = metrics.counter({
    name: "warren_workers_expired_total",
    help: "Workers taken for dead because they stopped beating",
    labels: [],
  });
  const stalled = metrics.counter({
    name: "warren_jobs_stalled_total",
    help: "Jobs taken from dead workers: sent again, or dead for having stalled too often",
    labels: ["outcome"],
  });
  let watching: Watching | undefined;

  async function look() {
    const askedAtMs = now();
    try {
      // the time of asking: a slow answer must not make a beat look older than it is
      return observe(watching, { kind: "seen", beats: await ledger.beats(), atMs: askedAtMs }, rule);
    } catch (error) {
      watching = observe(watching, { kind: "failed" }, rule).watching;
      throw error;
    }
  }

  return async () => {
    const { watching: next, expired } = await look();
    watching = next;
    for (const worker of expired) {
      const outcome = await ledger.expireWorker(worker);
      if (!outcome.expired) continue;
      const { rescued, waiting, dead } = outcome;
      expiredWorkers.inc({});
      if (rescued.length > 0) stalled.inc({ outcome: "sent_again" }, rescued.length);
      if (waiting.length > 0) stalled.inc({ outcome: "waits_again" }, waiting.length);
      if (dead.length > 0) stalled.inc({ outcome: "dead" }, dead.length);
      log.error(
        { workerId: worker.id, rescued: rescued.length, waiting: waiting.length, dead },
        "a worker is dead; its jobs go to others",
      );
      await sender.send(rescued, "rescued");
    }
    return "idle";
  };
}
