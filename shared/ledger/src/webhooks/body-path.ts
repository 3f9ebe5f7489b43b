import { type JsonPathStep, parseJsonPath } from "@warren/contracts";
import { LedgerDataError } from "../errors.ts";

/** A condition on the JSON of a body. Without `equals` or `contains` it asks whether the path leads anywhere. */
export interface BodyCondition {
  /** Such as `data.object.id`, `items[0].sku`, `items[*].sku`, `data["odd.name"]`; a leading `$` is allowed. */
  readonly path: string;
  readonly equals?: string | number | boolean | null;
  /** Part of a text, or an element of a list. */
  readonly contains?: string;
  readonly exists?: boolean;
}

export interface BodyMatcher {
  /**
   * Texts that the bytes of every matching body hold, unless it writes ASCII as `\u00…`: what the database looks for before anything
   * is parsed.
   */
  readonly needles: readonly string[];
  /** `false` for what is no JSON. */
  readonly matches: (body: Buffer) => boolean;
}

const maxPathLength = 300;
const maxConditions = 10;
const maxTextLength = 1_000;
/** How many values one condition looks at: what `*` may cost. A body with more is judged by its first ones. */
const mostValues = 10_000;

/** The steps of a JSONPath, with or without its `$`. @throws LedgerDataError `LEDGER_DATA_INVALID` for what is none. */
function stepsOf(path: string): readonly JsonPathStep[] {
  const prefix = path.startsWith("$") ? "" : path.startsWith("[") ? "$" : "$.";
  const steps = path.length > maxPathLength ? undefined : parseJsonPath(`${prefix}${path}`);
  if (steps !== undefined && steps.length > 0) return steps;
  throw new LedgerDataError(
    `"${path.slice(0, maxPathLength)}" is no path into a body: expected names, places and "*", such as data.object.id or items[*].sku`,
  );
}

/** Everything that a path leads to. */
function follow(value: unknown, steps: readonly JsonPathStep[]): readonly unknown[] {
  let found: readonly unknown[] = [value];
  for (const step of steps) found = found.flatMap((at) => childrenAt(at, step)).slice(0, mostValues);
  return found;
}

function childrenAt(value: unknown, step: JsonPathStep): readonly unknown[] {
  if (typeof value !== "object" || value === null) return [];
  switch (step.kind) {
    case "every":
      return Object.values(value).slice(0, mostValues);
    case "element": {
      const child = Array.isArray(value) ? (value.at(step.at) as unknown) : undefined;
      return child === undefined ? [] : [child];
    }
    case "member":
      if (Array.isArray(value) || !Object.hasOwn(value, step.name)) return [];
      return [(value as Readonly<Record<string, unknown>>)[step.name]];
    default:
      return step satisfies never;
  }
}

/** All conditions must hold. @throws LedgerDataError `LEDGER_DATA_INVALID`. */
export function bodyMatcher(conditions: readonly BodyCondition[]): BodyMatcher {
  if (conditions.length > maxConditions) {
    throw new LedgerDataError(`at most ${maxConditions} conditions on a body, got ${conditions.length}`);
  }
  const compiled = conditions.map(compile);
  return {
    needles: [...new Set(compiled.flatMap(({ needles }) => needles))],
    matches: (body) => {
      let parsed: unknown;
      try {
        parsed = JSON.parse(body.toString("utf8"));
      } catch {
        return false;
      }
      return compiled.every(({ steps, test }) => test(follow(parsed, steps)));
    },
  };
}

function compile(condition: BodyCondition) {
  const { path, equals, contains, exists } = condition;
  if ([equals, contains, exists].filter((given) => given !== undefined).length > 1) {
    throw new LedgerDataError(`"${path}": give one of equals, contains and exists`);
  }
  const text = typeof equals === "string" ? equals : contains;
  if (text !== undefined && text.length > maxTextLength) {
    throw new LedgerDataError(`"${path}": a text of at most ${maxTextLength} characters can be looked for`);
  }
  const steps = stepsOf(path);
  const names = steps.flatMap((step) => (step.kind === "member" ? plainPart(step.name) : []));
  if (exists === false) return { steps, needles: [], test: (found: readonly unknown[]) => found.length === 0 };
  if (equals !== undefined) {
    const needles = typeof equals === "string" ? [...names, ...plainPart(equals)] : names;
    return { steps, needles, test: (found: readonly unknown[]) => found.some((one) => one === equals) };
  }
  if (contains !== undefined) {
    return {
      steps,
      needles: [...names, ...plainPart(contains)],
      test: (found: readonly unknown[]) => found.some((one) => holds(one, contains)),
    };
  }
  return { steps, needles: names, test: (found: readonly unknown[]) => found.length > 0 };
}

function holds(value: unknown, part: string): boolean {
  if (typeof value === "string") return value.includes(part);
  return Array.isArray(value) && value.includes(part);
}

/** The longest run of characters that JSON writes as they are, or as `\u00…`. */
function plainPart(text: string): readonly string[] {
  const runs = text.match(/[\w.:@+=,;~!?#$%&*()[\]{}|^ -]+/g) ?? [];
  const longest = runs.reduce((best, run) => (run.length > best.length ? run : best), "");
  return longest === "" ? [] : [longest];
}
