/** A promise that was broken, and by what one can see it. */
export interface Finding {
  readonly rule: Rule;
  readonly what: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Which promise. */
type Rule =
  | "lost"
  | "doubled"
  | "invented"
  | "early"
  | "order"
  | "concurrency"
  | "rate"
  | "unique"
  | "transaction"
  | "flow"
  | "schedule"
  | "refused";

/** Groups by key, in the order in which they come. */
export function groupBy<T>(list: readonly T[], keyOf: (item: T) => string): ReadonlyMap<string, readonly T[]> {
  return Map.groupBy(list, keyOf);
}
