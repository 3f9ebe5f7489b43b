import { isDeepStrictEqual } from "node:util";

/** What a payload, or the data of an event, must be like. */
export type Matcher<Value> =
  /** Says yes. */
  | ((value: Value) => boolean)
  /** Holds at least this, at any depth; arrays whole. Matchers of vitest and Jest (`expect.any(Number)`) may stand anywhere. */
  | PartialOf<Value>;

/** `unknown` is also what `expect.any(…)` gives. */
type PartialOf<Value> = Value extends readonly unknown[]
  ? Value
  : Value extends object
    ? { readonly [Name in keyof Value]?: PartialOf<Value[Name]> | Asymmetric }
    : Value | Asymmetric;

interface Asymmetric {
  asymmetricMatch(value: unknown): boolean;
}

/** Whether a value holds what is expected of it. Pure. */
export function matches(expected: unknown, value: unknown): boolean {
  if (typeof expected === "function") return (expected as (value: unknown) => unknown)(value) === true;
  if (isAsymmetric(expected)) return expected.asymmetricMatch(value);
  if (Array.isArray(expected)) {
    const given: readonly unknown[] = Array.isArray(value) ? value : [];
    return (
      Array.isArray(value) && given.length === expected.length && expected.every((one, at) => matches(one, given[at]))
    );
  }
  if (expected instanceof Date) return isDeepStrictEqual(expected.toJSON(), value);
  if (!isRecord(expected)) return isDeepStrictEqual(expected, value);
  return isRecord(value) && Object.entries(expected).every(([name, one]) => matches(one, value[name]));
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function isAsymmetric(value: unknown): value is Asymmetric {
  return isRecord(value) && typeof value["asymmetricMatch"] === "function";
}
