import type { JobHandler } from "../handle.ts";

/**
 * How many handlers of one definition may run at once in this worker. Jobs beyond it wait in order: those of a queue whose definitions
 * are all capped wait as messages, where other workers can have them; those of a mixed queue are known only after their claim, and wait
 * in their slots.
 */
export interface Cap {
  /** Takes a place at once, and answers whether there was one; if not, `wait`. */
  enter(): boolean;
  /** Calls `entered` when a place is there. The answer withdraws from the line, and says whether it was still in it. */
  wait(entered: () => void): () => boolean;
  /** Gives the place back, to the first that waits. */
  leave(): void;
}

export function createCap(most: number): Cap {
  const waiting = new Set<() => void>();
  let inside = 0;
  return {
    enter() {
      if (inside >= most) return false;
      inside += 1;
      return true;
    },
    wait(entered) {
      waiting.add(entered);
      return () => waiting.delete(entered);
    },
    leave() {
      const [next] = waiting;
      if (next === undefined) {
        inside -= 1;
        return;
      }
      waiting.delete(next);
      next();
    },
  };
}

/** How many jobs of a queue may be claimed at once; only queues whose definitions are all capped have a limit. */
export interface QueueRoom {
  /** Places left; `Infinity` for a queue without a limit. */
  of(queue: string): number;
  /** All its places; `Infinity` for a queue without a limit. */
  limit(queue: string): number;
  take(queue: string, places: number): void;
  give(queue: string, places: number): void;
}

export function createQueueRoom(handlers: readonly JobHandler[]): QueueRoom {
  const limits = new Map<string, number>();
  for (const { definition, concurrency = Number.POSITIVE_INFINITY } of handlers)
    limits.set(definition.queue, (limits.get(definition.queue) ?? 0) + concurrency);
  const left = new Map([...limits].filter(([, limit]) => Number.isFinite(limit)));
  const change = (queue: string, by: number): void => {
    const now = left.get(queue);
    if (now !== undefined) left.set(queue, now + by);
  };
  return {
    limit: (queue) => limits.get(queue) ?? Number.POSITIVE_INFINITY,
    of: (queue) => left.get(queue) ?? Number.POSITIVE_INFINITY,
    take: (queue, places) => change(queue, -places),
    give: (queue, places) => change(queue, places),
  };
}
