/**
 * Properties try the same cases in every run of the gates, so that a red gate speaks of the change at hand. To hunt in other cases:
 * `WARREN_PROPERTY_SEED=random` (or a number) and `WARREN_PROPERTY_FACTOR=100`, which makes each property try that many times more
 * cases, in that many times the time. A counterexample that a hunt finds is kept as a plain test.
 */
const factor = Number(process.env["WARREN_PROPERTY_FACTOR"] ?? 1);
const seed = process.env["WARREN_PROPERTY_SEED"] ?? "20261122";

/** For fast-check's `configureGlobal`: without a seed, each run draws its own. */
export const propertySettings = {
  numRuns: propertyRuns(100),
  ...(seed === "random" ? {} : { seed: Number(seed) }),
};

/** `numRuns` of a property that tries more or fewer cases than the usual 100. */
export function propertyRuns(usual: number): number {
  return usual * factor;
}

export function propertyTimeout(usualMs: number): number {
  return usualMs * factor;
}
