/** When a worker has served long enough. */
export interface RecycleLimits {
  readonly afterJobs?: number | undefined;
  readonly aboveRssBytes?: number | undefined;
  readonly afterMs?: number | undefined;
}

export interface RecycleFacts {
  /** Attempts that ended. */
  readonly jobs: number;
  readonly rssBytes: number;
  readonly ageMs: number;
}

/** Why a worker is to be replaced. */
export interface RecycleReason extends RecycleFacts {
  readonly limit: "afterJobs" | "aboveRssBytes" | "afterMs";
}

/** Which limit was crossed; `undefined` while none was. Pure. */
export function recycleReason(limits: RecycleLimits, facts: RecycleFacts): RecycleReason | undefined {
  const { afterJobs, aboveRssBytes, afterMs } = limits;
  if (afterJobs !== undefined && facts.jobs >= afterJobs) return { limit: "afterJobs", ...facts };
  if (aboveRssBytes !== undefined && facts.rssBytes > aboveRssBytes) return { limit: "aboveRssBytes", ...facts };
  if (afterMs !== undefined && facts.ageMs >= afterMs) return { limit: "afterMs", ...facts };
  return undefined;
}

const spread = 0.1;

/** The limits of one worker: jobs and age up to a tenth less, so that workers started together do not leave together. Pure. */
export function spreadLimits(limits: RecycleLimits, random: () => number): RecycleLimits {
  const share = 1 - spread * random();
  const less = (limit: number | undefined): number | undefined =>
    limit === undefined ? undefined : Math.max(1, Math.floor(limit * share));
  return { ...limits, afterJobs: less(limits.afterJobs), afterMs: less(limits.afterMs) };
}

const checkMs = 1_000;

export interface RecyclerOptions {
  readonly limits: RecycleLimits;
  readonly jobs: () => number;
  /** Called once. */
  readonly crossed: (reason: RecycleReason) => void;
}

/** Looks every second whether a limit was crossed. */
export function startRecycler({ limits, jobs, crossed }: RecyclerOptions): Disposable {
  const startedAt = performance.now();
  const timer = setInterval(() => {
    const facts = { jobs: jobs(), rssBytes: process.memoryUsage.rss(), ageMs: performance.now() - startedAt };
    const reason = recycleReason(limits, facts);
    if (reason === undefined) return;
    clearInterval(timer);
    crossed(reason);
  }, checkMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
