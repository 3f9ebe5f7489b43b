import { setTimeout as sleep } from "node:timers/promises";
import type { Logger, Metrics } from "@warren/observability";

/** What a step found: work was waiting, so look again at once; nothing; or nothing yet, and when there will be something. */
export type Found = "busy" | "idle" | { readonly nextInMs: number };

export interface LoopOptions {
  readonly name: string;
  /** One round of work. A throw is a round that failed: the next one waits longer. */
  readonly step: (signal: AbortSignal) => Promise<Found>;
  /** Pause after a round that found nothing, ± 10 %, so that several dispatchers do not look at the same moment. */
  readonly idleMs: number;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Called when the loop itself dies, which only a mistake in it can do. */
  readonly onDeath: (error: unknown) => void;
  readonly random: () => number;
}

/** A background loop with an owner: it is started, stopped and awaited. */
export interface Loop {
  start(): void;
  /** Ends a pause early. */
  wake(): void;
  /** Resolves when the round under way has ended. Idempotent. */
  stop(): Promise<void>;
  /** How long ago a round last succeeded, in milliseconds; counted from `start` before the first. */
  silentMs(): number;
  readonly name: string;
}

const firstPauseMs = 100;
const longestPauseMs = 5_000;

/** A timer may fire a little early, and rounds to milliseconds; looking too early costs a round. */
const timerSlackMs = 1;
/** When there should have been something: it came up just now, or another dispatcher has it. */
const lookAgainMs = 5;

/** Until there is something to do, if that is known and sooner than the next look. */
function restMs(found: Exclude<Found, "busy">, pauseMs: number): number {
  if (found === "idle") return pauseMs;
  return Math.min(pauseMs, found.nextInMs > 0 ? found.nextInMs + timerSlackMs : lookAgainMs);
}

export function createLoop(options: LoopOptions): Loop {
  const { name, step, idleMs, log, random } = options;
  const failures = options.metrics
    .counter({ name: "warren_dispatcher_failed_rounds_total", help: "Rounds of a loop that failed", labels: ["loop"] })
    .child({ loop: name });
  const stopping = new AbortController();
  let waking = new AbortController();
  let running: Promise<void> | undefined;
  let succeededAt = performance.now();

  async function run(): Promise<void> {
    let failed = 0;
    while (!stopping.signal.aborted) {
      try {
        const found = await step(stopping.signal);
        succeededAt = performance.now();
        if (failed > 0) log.info({ loop: name, failed }, "loop works again");
        failed = 0;
        if (found !== "busy") await pause(restMs(found, idleMs * (0.9 + 0.2 * random())));
      } catch (error) {
        failures.inc();
        failed += 1;
        if (stopping.signal.aborted) return;
        const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(failed, 10)) * (0.5 + random());
        log.warn({ loop: name, failed, pauseMs, err: error }, "round failed; trying again");
        await pause(pauseMs);
      }
    }
  }

  async function pause(delayMs: number): Promise<void> {
    const signal = AbortSignal.any([stopping.signal, waking.signal]);
    await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    if (waking.signal.aborted) waking = new AbortController();
  }

  return {
    name,
    start() {
      succeededAt = performance.now();
      running ??= run().catch(options.onDeath);
    },
    wake: () => waking.abort(),
    async stop() {
      stopping.abort();
      await running;
    },
    silentMs: () => performance.now() - succeededAt,
  };
}
