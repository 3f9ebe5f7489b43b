/** Between which bounds, and by what, a worker sets its own concurrency. */
export interface ScaleLimits {
  readonly min: number;
  readonly max: number;
  /** Grow while jobs wait longer than this for a slot. */
  readonly targetWaitMs: number;
  /** Shrink while the event loop is later than this; grow only below half of it. */
  readonly maxLoopLagMs: number;
}

/** What a worker saw since the last look. */
export interface LoadSample {
  /** The most slots taken at once. */
  readonly busySlots: number;
  /** The longest that a job, claimed since or still waiting here, was due before its start. */
  readonly waitMs: number;
  /** 99th percentile of the event loop's delay. */
  readonly loopLagMs: number;
}

/** Where the controller stands. */
export interface Scale {
  readonly concurrency: number;
  /** Looks in a row at which half of the slots or fewer were needed. */
  readonly calmLooks: number;
  /** Looks for which it will not grow: after the event loop was late. */
  readonly holdLooks: number;
}

const step = 0.25;
const calmBeforeShrink = 5;
const holdAfterLag = 5;
const nearlyAll = 0.9;

/**
 * The next concurrency. Growing helps only work that waits, so it takes a wait above the target with the slots taken and an event loop that
 * has time; a late event loop shrinks it at once, because more of the same makes every job later; unneeded slots go slowly. Between the
 * thresholds nothing changes, and after a shrink for lag it holds, so that it does not swing. Pure.
 */
export function nextScale(scale: Scale, sample: LoadSample, limits: ScaleLimits): Scale {
  const { concurrency } = scale;
  const bounded = (wanted: number): number => Math.min(limits.max, Math.max(limits.min, wanted));
  const change = Math.max(1, Math.floor(concurrency * step));
  if (sample.loopLagMs > limits.maxLoopLagMs)
    return { concurrency: bounded(concurrency - change), calmLooks: 0, holdLooks: holdAfterLag };
  const holdLooks = Math.max(0, scale.holdLooks - 1);
  const full = sample.busySlots >= Math.floor(concurrency * nearlyAll);
  if (full && sample.waitMs > limits.targetWaitMs) {
    const mayGrow = scale.holdLooks === 0 && sample.loopLagMs < limits.maxLoopLagMs / 2;
    return { concurrency: bounded(mayGrow ? concurrency + change : concurrency), calmLooks: 0, holdLooks };
  }
  if (sample.busySlots > concurrency / 2) return { concurrency: bounded(concurrency), calmLooks: 0, holdLooks };
  const calmLooks = scale.calmLooks + 1;
  if (calmLooks < calmBeforeShrink) return { concurrency: bounded(concurrency), calmLooks, holdLooks };
  // never so far that it would have to grow again at once
  const enough = Math.ceil(sample.busySlots / nearlyAll) + 1;
  return { concurrency: bounded(Math.max(concurrency - change, enough)), calmLooks: 0, holdLooks };
}
