import { setTimeout as sleep } from "node:timers/promises";

/**
 * Calls `work` so many times a second on average, whether or not the calls before have ended, until `stopping` aborts. Resolves when all of
 * them have. What was missed while this process stood still is made up for.
 */
export async function atPace(perSecond: number, stopping: AbortSignal, work: () => Promise<void>): Promise<void> {
  const startedAt = performance.now();
  const calls = new Set<Promise<void>>();
  const failures: unknown[] = [];
  for (let made = 0; !stopping.aborted; ) {
    const due = ((performance.now() - startedAt) / 1_000) * perSecond;
    for (; made < due; made++) {
      const call: Promise<void> = work()
        .catch((error: unknown) => void failures.push(error))
        .finally(() => calls.delete(call));
      calls.add(call);
    }
    await sleep(20);
  }
  await Promise.all(calls);
  if (failures.length > 0) throw new AggregateError(failures, "the load itself failed");
}

/** Calls `work` again and again, one call after the other, `perSecond` at most. */
export async function oneByOne(perSecond: number, stopping: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!stopping.aborted) {
    const next = sleep(1_000 / perSecond);
    await work();
    await next;
  }
}
