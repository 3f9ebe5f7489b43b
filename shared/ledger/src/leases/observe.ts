/** A worker's beat as one observation saw it: equal numbers mean that it has not beaten in between. */
export interface SeenBeat {
  readonly id: string;
  readonly beatSeq: string;
}

interface Watch {
  readonly beatSeq: string;
  /** Since when, on the observer's monotonic clock, this beat has been seen without a break. */
  readonly sinceMs: number;
}

/** What an observer remembers between observations. */
export interface Watching {
  readonly lastSeenMs: number;
  readonly watches: ReadonlyMap<string, Watch>;
}

export interface LeaseRule {
  /** How long a beat must be seen unchanged. Default 15 s. */
  readonly leaseMs: number;
  /** A longer gap between two observations starts every watch anew: the observer was blind meanwhile. Default 5 s. */
  readonly maxGapMs: number;
}

export const defaultLeaseRule: LeaseRule = { leaseMs: 15_000, maxGapMs: 5_000 };

/** An observation: the beats that were read, or that they could not be read. */
export type Observation =
  | { readonly kind: "seen"; readonly beats: readonly SeenBeat[]; readonly atMs: number }
  | { readonly kind: "failed" };

/**
 * Decides whose lease is over. Pure. A worker is expired only when the same beat was seen over a full lease of unbroken
 * observation: after a Postgres outage every beat looks old, and after a suspension of the observer too, so a failed or late
 * observation starts every watch anew. `atMs` is the observer's monotonic clock (`performance.now()`).
 */
export function observe(
  before: Watching | undefined,
  observation: Observation,
  rule: LeaseRule = defaultLeaseRule,
): { readonly watching: Watching | undefined; readonly expired: readonly SeenBeat[] } {
  if (observation.kind === "failed") return { watching: undefined, expired: [] };
  const { beats, atMs } = observation;
  const unbroken = before !== undefined && atMs - before.lastSeenMs <= rule.maxGapMs ? before.watches : undefined;
  const watches = new Map<string, Watch>();
  const expired: SeenBeat[] = [];
  for (const { id, beatSeq } of beats) {
    const watch = unbroken?.get(id);
    const sinceMs = watch !== undefined && watch.beatSeq === beatSeq ? watch.sinceMs : atMs;
    watches.set(id, { beatSeq, sinceMs });
    if (atMs - sinceMs >= rule.leaseMs) expired.push({ id, beatSeq });
  }
  return { watching: { lastSeenMs: atMs, watches }, expired };
}
