import type { Logger } from "@warren/observability";
import type { BreakerChange } from "./provider.ts";

const retryMs = 1_000;
/** How long disposal waits for the last try. */
const lastTryMs = 2_000;

export interface BreakerReports extends AsyncDisposable {
  report(change: BreakerChange): void;
}

/**
 * Tells a listener of breaker changes: one at a time, each breaker's newest state only, again and again until it is taken.
 * An outage that the ledger never heard of would let the dispatcher feed the dead provider.
 */
export function createBreakerReports(
  listener: ((change: BreakerChange) => void | Promise<void>) | undefined,
  log: Logger,
): BreakerReports {
  const waiting = new Map<string, BreakerChange>();
  const stop = new AbortController();
  let telling: Promise<void> | undefined;

  async function tellAll(tell: (change: BreakerChange) => void | Promise<void>): Promise<void> {
    for (;;) {
      const change = waiting.values().next().value;
      if (change === undefined) return;
      try {
        await tell(change);
        if (waiting.get(change.breaker) === change) waiting.delete(change.breaker);
      } catch (error) {
        if (stop.signal.aborted) return;
        log.warn(
          { breaker: change.breaker, state: change.state.kind, err: error },
          "breaker change not reported, will be told again",
        );
        // cut short by disposal, after which there is one last try
        await pause(retryMs, stop.signal);
      }
    }
  }

  function start(tell: (change: BreakerChange) => void | Promise<void>): void {
    telling ??= tellAll(tell).finally(() => {
      telling = undefined;
      // a change may have come between the last look and here
      if (waiting.size > 0 && !stop.signal.aborted) start(tell);
    });
  }

  return {
    report(change) {
      if (listener === undefined || stop.signal.aborted) return;
      // deleted first, so that the newest change also takes the last place in the order
      waiting.delete(change.breaker);
      waiting.set(change.breaker, change);
      start(listener);
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.race([telling, pause(lastTryMs)]);
    },
  };
}

/** Waits, or until the signal; holds no process alive. */
async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    timer.unref();
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
