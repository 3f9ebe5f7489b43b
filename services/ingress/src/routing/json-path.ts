import { type JsonPathStep, parseJsonPath } from "@warren/contracts";
import { member } from "../verify/json.ts";

/** How many values one question may look at, over all its paths: bounds what `*` costs on a body of a hundred thousand elements. */
const mostValues = 10_000;

/** What is left to look at. */
export interface LookBudget {
  left: number;
}

export const newBudget = (): LookBudget => ({ left: mostValues });

/** The steps of a path that was checked when its rule was made. */
export function stepsOf(path: string): readonly JsonPathStep[] {
  const steps = parseJsonPath(path);
  if (steps === undefined) throw new RangeError(`"${path}" is no JSON path`);
  return steps;
}

/** The values at a path: none, one, or with `*` several. `undefined` when they are more than the budget allows. Never throws. */
export function valuesAt(
  document: unknown,
  steps: readonly JsonPathStep[],
  budget: LookBudget,
): readonly unknown[] | undefined {
  let found: readonly unknown[] = [document];
  for (const step of steps) {
    const next: unknown[] = [];
    for (const value of found) {
      for (const child of childrenAt(value, step)) {
        if (budget.left === 0) return undefined;
        budget.left -= 1;
        next.push(child);
      }
    }
    found = next;
  }
  return found;
}

function childrenAt(value: unknown, step: JsonPathStep): Iterable<unknown> {
  switch (step.kind) {
    case "member": {
      const child = member(value, step.name);
      return child === undefined ? [] : [child];
    }
    case "element": {
      const child = Array.isArray(value) ? (value.at(step.at) as unknown) : undefined;
      return child === undefined ? [] : [child];
    }
    case "every":
      if (Array.isArray(value)) return value as readonly unknown[];
      return typeof value === "object" && value !== null ? (Object.values(value) as readonly unknown[]) : [];
    default:
      return step satisfies never;
  }
}

/** The first value at a path as text, where it is a string, a number or a boolean. */
export function textAtPath(document: unknown, steps: readonly JsonPathStep[]): string | undefined {
  const [value] = valuesAt(document, steps, newBudget()) ?? [];
  if (typeof value === "string") return value === "" ? undefined : value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}
