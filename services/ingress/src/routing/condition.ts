import type { JsonPathStep, RuleCondition } from "@warren/contracts";
import { type LookBudget, newBudget, stepsOf, valuesAt } from "./json-path.ts";
import { patternOf } from "./pattern.ts";

/** What conditions look at; each part is made when the first asks. `body` is `undefined` when it is no JSON and no form. */
export interface Documents {
  readonly body: () => unknown;
  readonly headers: () => unknown;
  readonly query: () => unknown;
}

/** Whether an event fits, or why that cannot be said. */
export type Judgement =
  | { readonly kind: "fits" }
  | { readonly kind: "unfit" }
  | { readonly kind: "failed"; readonly why: string };

export type Condition = (documents: Documents) => Judgement;
type Judge = (documents: Documents, budget: LookBudget) => Judgement;

const fits: Judgement = { kind: "fits" };
const unfit: Judgement = { kind: "unfit" };
const failed = (why: string): Judgement => ({ kind: "failed", why });
const judged = (answer: boolean): Judgement => (answer ? fits : unfit);

/**
 * Compiles a condition. It never throws: what cannot be judged is `failed`, unless the rest of the condition decides without it (one
 * `any` that fits, one of `all` that does not).
 */
export function compileCondition(condition: RuleCondition): Condition {
  const judge = compile(condition);
  return (documents) => judge(documents, newBudget());
}

function compile(condition: RuleCondition): Judge {
  if ("all" in condition) return every(condition.all.map(compile), "unfit", fits);
  if ("any" in condition) return every(condition.any.map(compile), "fits", unfit);
  if ("not" in condition) {
    const judge = compile(condition.not);
    return (documents, budget) => {
      const judgement = judge(documents, budget);
      return judgement.kind === "failed" ? judgement : judged(judgement.kind === "unfit");
    };
  }
  return compare(condition);
}

/** The first `decisive` judgement decides; else a failure; else `otherwise`. */
function every(judges: readonly Judge[], decisive: Judgement["kind"], otherwise: Judgement): Judge {
  return (documents, budget) => {
    let failure: Judgement | undefined;
    for (const judge of judges) {
      const judgement = judge(documents, budget);
      if (judgement.kind === decisive) return judgement;
      if (judgement.kind === "failed") failure ??= judgement;
    }
    return failure ?? otherwise;
  };
}

type Comparison = Extract<RuleCondition, { readonly op: string }>;
/** Whether a value fits; `undefined` when it is of a type that the question does not apply to. */
type Test = (value: unknown) => boolean | undefined;

function compare(comparison: Comparison): Judge {
  const { path, on = "body" } = comparison;
  const steps = stepsOf(path);
  const where = on === "body" ? path : `${on} ${path}`;
  const look = (documents: Documents, budget: LookBudget): readonly unknown[] | Judgement =>
    valuesIn(documents, on, steps, budget);
  if (comparison.op === "exists") {
    return (documents, budget) => {
      const values = look(documents, budget);
      return isJudgement(values) ? values : judged(values.length > 0 === comparison.value);
    };
  }
  const [test, isNegated] = testOf(comparison);
  return (documents, budget) => {
    const values = look(documents, budget);
    if (isJudgement(values)) return values;
    let misfit: unknown;
    let hasMisfit = false;
    for (const value of values) {
      const answer = test(value);
      if (answer === true) return judged(!isNegated);
      if (answer === undefined && !hasMisfit) {
        hasMisfit = true;
        misfit = value;
      }
    }
    if (!hasMisfit) return judged(isNegated);
    return failed(`${where} is ${typeName(misfit)}, which "${comparison.op}" cannot compare`);
  };
}

function valuesIn(
  documents: Documents,
  on: "body" | "headers" | "query",
  steps: readonly JsonPathStep[],
  budget: LookBudget,
): readonly unknown[] | Judgement {
  const document = documents[on]();
  if (document === undefined) return failed("the body is not JSON");
  return valuesAt(document, steps, budget) ?? failed("the condition looks at more than 10000 values");
}

const isJudgement = (values: readonly unknown[] | Judgement): values is Judgement => !Array.isArray(values);

/** The question to one value, and whether the condition is its opposite. `null` and what is not there fit no question but `eq` and `type`. */
function testOf(comparison: Exclude<Comparison, { readonly op: "exists" }>): readonly [Test, boolean] {
  switch (comparison.op) {
    case "eq":
    case "ne":
      return [(value) => value === comparison.value, comparison.op === "ne"];
    case "in":
    case "notIn": {
      const known = new Set<unknown>(comparison.value);
      return [(value) => known.has(value), comparison.op === "notIn"];
    }
    case "gt":
    case "gte":
    case "lt":
    case "lte":
      return [ordered(comparison.op, comparison.value), false];
    case "contains":
      return [(value) => containsOf(value, comparison.value), false];
    case "startsWith":
      return [onText((text) => text.startsWith(comparison.value)), false];
    case "endsWith":
      return [onText((text) => text.endsWith(comparison.value)), false];
    case "like":
      return [onText(patternOf(comparison.value)), false];
    case "type":
      return [(value) => typeName(value) === comparison.value, false];
    default:
      return comparison satisfies never;
  }
}

function ordered(op: "gt" | "gte" | "lt" | "lte", bound: number | string): Test {
  return (value) => {
    if (value === null) return false;
    if (typeof value !== typeof bound) return undefined;
    // sound: both are of the bound's type
    const given = value as number | string;
    if (given === bound) return op === "gte" || op === "lte";
    return given > bound === (op === "gt" || op === "gte");
  };
}

const onText =
  (test: (text: string) => boolean): Test =>
  (value) => {
    if (value === null) return false;
    return typeof value === "string" ? test(value) : undefined;
  };

function containsOf(value: unknown, part: string): boolean | undefined {
  if (value === null) return false;
  if (Array.isArray(value)) return value.includes(part);
  return typeof value === "string" ? value.includes(part) : undefined;
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}
