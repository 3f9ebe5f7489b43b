/** A token bucket: in any span of `t` milliseconds at most `burst + t * limit / perMs` jobs start. */
export interface Rate {
  readonly limit: number;
  readonly perMs: number;
  /** What the bucket holds at most: so many may start at once after a pause. */
  readonly burst: number;
}

/** What a bucket held at an instant, by the database's clock. Fractions count. */
export interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** Jobs that started at one instant. */
export interface Starts {
  readonly count: number;
  readonly atMs: number;
}

/**
 * The bucket at `nowMs`, after jobs have started. Pure. Starts that come to light late, from before the bucket's instant, are taken out at
 * that instant: the bucket then holds less than it might, never more. Without a bucket it was full.
 */
export function afterStarts(
  bucket: Bucket | undefined,
  { limit, perMs, burst }: Rate,
  starts: readonly Starts[],
  nowMs: number,
): Bucket {
  const perMillisecond = limit / perMs;
  let { tokens, atMs } = bucket ?? { tokens: burst, atMs: Math.min(nowMs, ...starts.map((one) => one.atMs)) };
  const filledUntil = (instantMs: number): number => {
    const passedMs = Math.max(0, instantMs - atMs);
    atMs += passedMs;
    return Math.min(burst, tokens + passedMs * perMillisecond);
  };
  for (const one of starts.toSorted((a, b) => a.atMs - b.atMs)) tokens = filledUntil(one.atMs) - one.count;
  tokens = filledUntil(nowMs);
  return { tokens, atMs };
}

/** Sums of fractions miss whole numbers by less than this. */
const rounding = 1e-6;

/** How many whole tokens a bucket holds. */
export function wholeTokens({ tokens }: Bucket): number {
  return Math.floor(tokens + rounding);
}

/** In how many milliseconds the bucket holds `wanted` tokens, which must not be more than its burst. */
export function msUntil({ tokens }: Bucket, { limit, perMs }: Rate, wanted: number): number {
  return Math.max(0, ((wanted - tokens) * perMs) / limit);
}
