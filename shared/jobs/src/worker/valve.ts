/** What the valve looks at. */
export interface ValveFacts {
  /** Nothing may be taken: quiet or paused. */
  readonly shut: boolean;
  /** Unclaimed messages for each queue while all goes well. */
  readonly prefetch: number;
  readonly freeSlots: number;
  /** Since when the oldest unclaimed job has waited here, in milliseconds. */
  readonly oldestWaitMs: number;
  /** Moving average of how long handlers run. */
  readonly averageRunMs: number;
  readonly nowMs: number;
}

/**
 * How far a worker opens its queues. Usually wide: the next messages are at hand before a slot is free. While its jobs are long, it takes
 * only what it has free slots for, since a message that it holds is one that an idle worker cannot have.
 */
export type Valve = { readonly kind: "wide" } | { readonly kind: "narrow"; readonly sinceMs: number };

/** An unclaimed job may wait so long for a slot of this worker before it is sent on to others. */
export const patienceMs = 1_000;
/** A narrow valve opens wide again when handlers take less than this, but not at once. */
const shortRunMs = 250;
const leastNarrowMs = 5_000;

/** The valve's next state. Pure. */
export function turnValve(valve: Valve, facts: ValveFacts): Valve {
  if (valve.kind === "wide") {
    const overdue = facts.freeSlots === 0 && facts.oldestWaitMs > patienceMs;
    return overdue ? { kind: "narrow", sinceMs: facts.nowMs } : valve;
  }
  const over = facts.nowMs - valve.sinceMs > leastNarrowMs && facts.averageRunMs < shortRunMs;
  return over && facts.freeSlots > 0 ? { kind: "wide" } : valve;
}

/** How many unclaimed messages the worker wants for each queue. `before`: what it wanted until now. Pure. */
export function windowOf(valve: Valve, facts: ValveFacts, before: number): number {
  if (facts.shut) return 0;
  if (valve.kind === "wide") return facts.prefetch;
  if (facts.freeSlots === 0) return 0;
  // an open narrow window stays as it is until the slots are full: each change costs the broker a round trip
  return before > 0 ? Math.min(before, facts.prefetch) : Math.min(facts.freeSlots, facts.prefetch);
}
