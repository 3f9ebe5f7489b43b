import { afterStarts, type Bucket, msUntil, type Rate, type Starts, wholeTokens } from "./bucket.ts";

/** What a dispatcher sees of a governed queue at one instant, while nobody else may release its jobs. */
export interface Sight {
  readonly nowMs: number;
  readonly concurrency: number | undefined;
  readonly rate: Rate | undefined;
  /** Places of the living workers that serve the queue. */
  readonly places: number;
  /** Released and unfinished. */
  readonly released: number;
  /** Of these, those that no worker has started. */
  readonly unstarted: number;
  readonly bucket: Bucket | undefined;
  /** Since the last look. */
  readonly starts: readonly Starts[];
  /** What the last look left. */
  readonly outstanding: number;
  readonly lookedAtMs: number | undefined;
  /** Jobs a millisecond that finished lately. */
  readonly flow: number;
}

export interface Room {
  /** How many jobs may be released now. */
  readonly jobs: number;
  readonly bucket: Bucket | undefined;
  readonly flow: number;
  /** In how many milliseconds the rate has room again, where the rate is what is in the way. */
  readonly nextTokenMs: number | undefined;
  /** In how many milliseconds the workers will have used a third of what is ahead of them, where only they bound the release. */
  readonly usedMs: number | undefined;
}

/** Enough work beyond the busy places that no worker runs dry before the next rounds: what finishes in this time. */
const aheadMs = 250;
const mostAhead = 3_000;
/** A new job of a high priority waits no longer than this for a look. */
const longestRestMs = 30;
/** How fast the measured flow follows what is seen. */
const flowMemoryMs = 400;

/**
 * How many jobs may go now: what the workers can use, the concurrency leaves and the bucket holds for jobs that have not started. Since a
 * start takes its token out when it happens, and every released job has one waiting for it, starts keep the rate exactly. Pure.
 */
export function roomOf(sight: Sight): Room {
  const { nowMs, concurrency, rate, places, released, unstarted } = sight;
  const flow = flowOf(sight);
  const spare = Math.max(2, Math.ceil(places / 4), Math.ceil(flow * aheadMs));
  const wanted = places === 0 ? 0 : places + Math.min(mostAhead, spare) - released;
  const free = concurrency === undefined ? Number.POSITIVE_INFINITY : concurrency - released;
  const bucket = rate === undefined ? undefined : afterStarts(sight.bucket, rate, sight.starts, nowMs);
  const tokens = bucket === undefined ? Number.POSITIVE_INFINITY : wholeTokens(bucket) - unstarted;
  const jobs = Math.max(0, Math.min(wanted, free, tokens));
  const waitsForToken = bucket !== undefined && rate !== undefined && wanted > 0 && free > 0 && tokens <= 0;
  return {
    jobs,
    bucket,
    flow,
    usedMs: jobs === wanted && flow > 0 ? Math.min(longestRestMs, spare / flow / 3) : undefined,
    nextTokenMs: waitsForToken ? msUntil(bucket, rate, Math.min(rate.burst, unstarted + 1)) : undefined,
  };
}

function flowOf({ nowMs, lookedAtMs, outstanding, released, flow }: Sight): number {
  if (lookedAtMs === undefined || nowMs <= lookedAtMs) return flow;
  const passedMs = nowMs - lookedAtMs;
  const seen = Math.max(0, outstanding - released) / passedMs;
  return flow + (seen - flow) * (1 - Math.exp(-passedMs / flowMemoryMs));
}
