import type { JobHandler } from "../handle.ts";

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
