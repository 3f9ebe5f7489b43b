import { setTimeout as sleep } from "node:timers/promises";
import type { Replaying } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";

export interface ReplayLoopOptions {
  readonly replaying: Pick<Replaying, "step">;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** How often to look for a replay while there is none, in milliseconds. Default 1,000. */
  readonly idleMs?: number;
}

/** Does replays, a batch at a time, beside the webhooks that come in. Any number of processes share them. */
export interface ReplayLoop {
  start(): void;
  /** Resolves when the batch under way is committed. Idempotent. */
  stop(): Promise<void>;
}

const longestPauseMs = 10_000;

export function createReplayLoop({ replaying, log, metrics, idleMs = 1_000 }: ReplayLoopOptions): ReplayLoop {
  const events = metrics.counter({
    name: "warren_webhook_replayed_total",
    help: "Events that replays have taken, by what became of each: changed, or why it was left alone",
    labels: ["outcome"],
  });
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    let failed = 0;
    while (!stopping.signal.aborted) {
      let pauseMs = idleMs;
      try {
        const step = await replaying.step();
        failed = 0;
        for (const answer of step?.answers ?? []) {
          events.inc({ outcome: answer.kind === "changed" ? "changed" : answer.why });
        }
        // another replay may be due, and this one's next batch as well
        if (step !== undefined && !step.waits) pauseMs = 0;
      } catch (error) {
        failed += 1;
        pauseMs = Math.min(longestPauseMs, idleMs * 2 ** Math.min(failed, 10));
        if (failed === 1) log.warn({ err: error, pauseMs }, "a batch of a replay failed; trying again");
      }
      await sleep(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  return {
    start() {
      running ??= run();
    },
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
