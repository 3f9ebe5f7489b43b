import { monitorEventLoopDelay } from "node:perf_hooks";
import { type LoadSample, nextScale, type Scale, type ScaleLimits } from "./autoscale.ts";

export interface LoadWatchOptions {
  readonly limits: ScaleLimits;
  readonly everyMs: number;
  readonly concurrency: () => number;
  readonly takenSlots: () => number;
  /** How long the oldest job here waits for its claim. */
  readonly oldestWaitMs: () => number;
  readonly scaleTo: (concurrency: number) => void;
}

/** Looks at the load in intervals, and sets the concurrency by it. */
export interface LoadWatch {
  /** A job was claimed this long after it was due. */
  waited(waitMs: number): void;
  /** Slots were taken. */
  slotsTaken(): void;
  start(): void;
  stop(): void;
}

const resolutionMs = 10;
const nanosPerMs = 1e6;

export function createLoadWatch(options: LoadWatchOptions): LoadWatch {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  let timer: NodeJS.Timeout | undefined;
  let scale: Scale = { concurrency: options.limits.min, calmLooks: 0, holdLooks: 0 };
  let longestWaitMs = 0;
  let mostTaken = 0;

  function sample(): LoadSample {
    const seen = {
      busySlots: Math.max(mostTaken, options.takenSlots()),
      waitMs: Math.max(longestWaitMs, options.oldestWaitMs()),
      // the histogram measures from one of its ticks to the next
      loopLagMs: Math.max(0, delay.percentile(99) / nanosPerMs - resolutionMs),
    };
    longestWaitMs = 0;
    mostTaken = 0;
    delay.reset();
    return seen;
  }

  function look(): void {
    // it may have been set by hand meanwhile
    const before = options.concurrency();
    scale = nextScale({ ...scale, concurrency: before }, sample(), options.limits);
    if (scale.concurrency !== before) options.scaleTo(scale.concurrency);
  }

  return {
    waited(waitMs) {
      if (waitMs > longestWaitMs) longestWaitMs = waitMs;
    },
    slotsTaken() {
      mostTaken = Math.max(mostTaken, options.takenSlots());
    },
    start() {
      delay.enable();
      timer = setInterval(look, options.everyMs);
      timer.unref();
    },
    stop() {
      clearInterval(timer);
      delay.disable();
    },
  };
}
