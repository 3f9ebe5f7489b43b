import { setTimeout as sleep } from "node:timers/promises";

export interface WaitForOptions {
  /** What is waited for, as the failure will say it: "the job to be settled". */
  readonly what?: string;
  /** Default 30 s: a bound for what never happens, not a measure. */
  readonly timeoutMs?: number;
  /** Pause between two looks. Default 20 ms. */
  readonly intervalMs?: number;
}

/**
 * Looks until the condition holds, and answers what it answered. "Holds" is any value but `false`, `undefined` and `null`; a
 * condition that throws does not hold yet, and its last error becomes the cause of the failure. Prefer a signal where there is one.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitForOptions = {},
): Promise<Exclude<T, false | undefined | null>> {
  const { what = "the condition", timeoutMs = 30_000, intervalMs = 20 } = options;
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      lastError = undefined;
      if (value !== false && value !== undefined && value !== null)
        return value as Exclude<T, false | undefined | null>;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) {
      throw new Error(`waited ${timeoutMs} ms for ${what}`, lastError === undefined ? undefined : { cause: lastError });
    }
    await sleep(intervalMs);
  }
}
