import { setTimeout as sleep } from "node:timers/promises";
import { exact } from "./jobs.ts";
import type { Platform } from "./platform.ts";

export interface Load {
  /** Stops, waits until the last enqueue is answered, and says how many jobs the ledger has promised to run. */
  stop(): Promise<number>;
}

/**
 * Enqueues `e2e.exact` jobs at a steady pace. An enqueue that fails is tried again under the same id, as a careful caller does, so
 * that every number is promised exactly once.
 */
export function startLoad(platform: Platform, options: { readonly perSecond: number; readonly takesMs: number }): Load {
  const stopping = new AbortController();
  const calls: Promise<void>[] = [];
  const offer = async (number: number): Promise<void> => {
    while (!platform.ended.aborted) {
      try {
        await platform.client.enqueue(exact, { number, takesMs: options.takesMs }, { id: `load-${number}` });
        return;
      } catch {
        await sleep(100);
      }
    }
  };
  const run = async (): Promise<number> => {
    let number = 0;
    const startedAt = performance.now();
    while (!stopping.signal.aborted && !platform.ended.aborted) {
      const due = ((performance.now() - startedAt) / 1000) * options.perSecond;
      for (; number < due; number++) calls.push(offer(number));
      await sleep(10);
    }
    await Promise.all(calls);
    return number;
  };
  const running = run();
  return {
    stop() {
      stopping.abort();
      return running;
    },
  };
}
