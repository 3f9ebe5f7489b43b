/** A token bucket. */
export interface RateLimit {
  /** Takes a token: 0, or the milliseconds after which there is one, and then none was taken. */
  take(nowMs: number): number;
}

export interface RateLimitOptions {
  readonly perSecond: number;
  /** What the bucket holds at most. Default: one second's worth, at least 1. */
  readonly burst?: number | undefined;
}

/** Sums of fractions miss whole numbers by less than this. */
const rounding = 1e-6;

/** Full at first. A clock that goes back fills nothing. */
export function createRateLimit({ perSecond, burst = Math.max(1, Math.ceil(perSecond)) }: RateLimitOptions): RateLimit {
  let tokens = burst;
  let filledAtMs = Number.NEGATIVE_INFINITY;
  return {
    take(nowMs) {
      if (nowMs > filledAtMs) {
        tokens = Math.min(burst, tokens + ((nowMs - filledAtMs) * perSecond) / 1000);
        filledAtMs = nowMs;
      }
      if (tokens < 1 - rounding) return Math.ceil(((1 - tokens) * 1000) / perSecond - rounding);
      tokens -= 1;
      return 0;
    },
  };
}
