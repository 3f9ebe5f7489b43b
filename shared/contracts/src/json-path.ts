import { z } from "zod";

/** One step of a path: a member by name, an element by its place (from the end where negative), or every child. */
export type JsonPathStep =
  | { readonly kind: "member"; readonly name: string }
  | { readonly kind: "element"; readonly at: number }
  | { readonly kind: "every" };

const maxSteps = 32;
const bareStep = /^\.([A-Za-z_\u0080-\u{10ffff}][\w\u0080-\u{10ffff}-]*)/u;
const everyStep = /^(?:\.\*|\[\*\])/;
const elementStep = /^\[(-?(?:0|[1-9]\d{0,8}))\]/;
const quotedStep = /^\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]/su;

/**
 * The steps of a JSONPath (RFC 9535): `$`, `.name`, `['name']`, `[0]`, `[-1]`, `[*]`, `.*`. Filters, slices and recursive descent are not
 * among them, so that what a path costs is bounded by what it names. `undefined` when it is not of that form. Pure.
 */
export function parseJsonPath(path: string): readonly JsonPathStep[] | undefined {
  if (!path.startsWith("$")) return undefined;
  const steps: JsonPathStep[] = [];
  let rest = path.slice(1);
  while (rest !== "") {
    const [step, length] = nextStep(rest);
    if (step === undefined || steps.length === maxSteps) return undefined;
    steps.push(step);
    rest = rest.slice(length);
  }
  return steps;
}

function nextStep(rest: string): readonly [JsonPathStep | undefined, number] {
  const every = everyStep.exec(rest);
  if (every !== null) return [{ kind: "every" }, every[0].length];
  const bare = bareStep.exec(rest);
  if (bare?.[1] !== undefined) return [{ kind: "member", name: bare[1] }, bare[0].length];
  const element = elementStep.exec(rest);
  if (element !== null) return [{ kind: "element", at: Number(element[1]) }, element[0].length];
  const quoted = quotedStep.exec(rest);
  const name = quoted?.[1] ?? quoted?.[2];
  if (quoted === null || name === undefined) return [undefined, 0];
  return [{ kind: "member", name: name.replaceAll(/\\(.)/gsu, "$1") }, quoted[0].length];
}

/** A path into a JSON document. */
export const jsonPath = z
  .string()
  .max(300)
  .refine(
    (path) => parseJsonPath(path) !== undefined,
    'expected a JSONPath of names, places and "*", such as $.data.object.id, $["order id"], $.items[0], $.items[*].sku',
  );
