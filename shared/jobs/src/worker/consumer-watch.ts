import type { Logger } from "@warren/observability";

export interface ConsumerWatchOptions {
  readonly queues: readonly string[];
  /** Messages ready in the broker's queue. May reject while the broker is away. */
  readonly readyMessages: (queue: string) => Promise<number>;
  /** Whether this worker wants messages of the queue and holds none. */
  readonly isHungry: (queue: string) => boolean;
  /** Messages of the queue received so far. */
  readonly received: (queue: string) => number;
  /** Subscribes anew. */
  readonly renew: (queue: string) => void;
  readonly log: Logger;
  readonly everyMs?: number;
}

const defaultEveryMs = 15_000;

/**
 * Notices a subscription that the broker has forgotten without a word: two looks in a row the worker wanted messages, received none, and the
 * broker had some ready. Then it subscribes anew. A busy or a truly idle worker costs at most one passive declare a look.
 */
export function startConsumerWatch(options: ConsumerWatchOptions): AsyncDisposable {
  const { queues, readyMessages, isHungry, received, renew, log, everyMs = defaultEveryMs } = options;
  /** What each queue had received when it was suspected. */
  const suspects = new Map<string, number>();
  const seen = new Map(queues.map((queue) => [queue, received(queue)]));
  let looking: Promise<void> | undefined;

  async function look(queue: string): Promise<void> {
    const before = seen.get(queue);
    const now = received(queue);
    seen.set(queue, now);
    if (now !== before || !isHungry(queue) || !(await hasReady(queue))) {
      suspects.delete(queue);
      return;
    }
    if (received(queue) !== now || !isHungry(queue)) return;
    if (suspects.get(queue) !== now) {
      suspects.set(queue, now);
      return;
    }
    suspects.delete(queue);
    log.error({ queue }, "messages are ready and none arrive; subscribing anew");
    renew(queue);
  }

  async function hasReady(queue: string): Promise<boolean> {
    try {
      return (await readyMessages(queue)) > 0;
    } catch {
      // the broker is away: the session brings the consumer back
      return false;
    }
  }

  const timer = setInterval(() => {
    looking ??= Promise.all(queues.map(look))
      .then(() => undefined)
      .finally(() => {
        looking = undefined;
      });
  }, everyMs);
  timer.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await looking;
    },
  };
}
