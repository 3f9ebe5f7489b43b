import { newRule } from "@warren/contracts";
import { expect, test } from "vitest";
import { problemsAt } from "../src/http/request-invalid.ts";

test.for<{ when: unknown; path: string; says: string }>([
  { when: { path: "$.a", op: "equals", value: 1 }, path: "body.when.op", says: "'eq' | 'ne'" },
  { when: { path: "$.a", op: "gt", value: [1] }, path: "body.when.value", says: "expected number or string" },
  { when: { path: "$.a", op: "eq" }, path: "body.when.value", says: "expected string or number or boolean or null" },
  { when: { all: [{ path: "$.a", op: "exists", value: 1 }] }, path: "body.when.all.0.value", says: "boolean" },
  { when: { not: { path: "a", op: "eq", value: 1 } }, path: "body.when.not.path", says: "expected a JSONPath" },
  { when: { any: [] }, path: "body.when.any", says: ">=1" },
  { when: 7, path: "body.when", says: "expected object" },
])("a condition $when is refused at $path with what was expected there", ({ when, path, says }) => {
  const { error } = newRule.safeParse({ name: "x", to: { kind: "event" }, when });
  expect(error && problemsAt("body", error)).toEqual([{ path, message: expect.stringContaining(says) }]);
});

test("a misspelt field is told the nearest, where one is near", () => {
  const known = Object.keys(newRule.shape);
  const said = (body: object) =>
    problemsAt("body", newRule.safeParse({ name: "x", to: { kind: "event" }, ...body }).error ?? never(), known);
  expect(said({ typs: [] })).toEqual([
    { path: "body", message: expect.stringContaining('"typs"; did you mean "types"?') },
  ]);
  expect(said({ zzzzzz: 1 })).toEqual([{ path: "body", message: expect.not.stringContaining("did you mean") }]);
});

function never(): never {
  throw new Error("the rule was taken");
}
