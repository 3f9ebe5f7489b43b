import { expect, test } from "vitest";
import { cutStatement } from "../src/enqueue/placeholders.ts";

const parametersOf = (text: string) => cutStatement(text).parameters;

test("parameters are found in the order in which they stand, repeated ones each time", () => {
  expect(cutStatement("select $2::int, $1, $2 + $10")).toEqual({
    texts: ["select ", "::int, ", ", ", " + ", ""],
    parameters: [2, 1, 2, 10],
  });
  expect(cutStatement("select 1")).toEqual({ texts: ["select 1"], parameters: [] });
});

test.for([
  ["a string", "select 'costs $1', $2"],
  ["a string with a doubled quote", "select 'it''s $1', $2"],
  ["a string that ends in a backslash", "select 'c:\\', $2"],
  ["an escaping string", "select e'it\\'s $1', $2"],
  ["a quoted name", 'select "$1", $2'],
  ["a quoted name with a doubled quote", 'select "a""$1", $2'],
  ["a line comment", "select -- $1 isn't\n $2"],
  ["a comment", "select /* $1 ' */ $2"],
  ["a nested comment", "select /* /* $1 */ $1 */ $2"],
  ["a dollar quote", "select $$ $1 ' $$, $2"],
  ["a tagged dollar quote", "select $body$ $1 $$ $other$ $body$, $2"],
  ["a name with a dollar sign", "select price$1, $2"],
] as const)("a parameter inside %s is none", ([, text]) => {
  expect(parametersOf(text)).toEqual([2]);
});

test("what is never closed hides the rest instead of hanging", () => {
  expect(parametersOf("select $1 /* $2")).toEqual([1]);
  expect(parametersOf("select $1, $a$ $2")).toEqual([1]);
});

test("an operator of JSON is no parameter, and the pieces keep every character", () => {
  const text = "select $1::jsonb ? 'a', '{}'::jsonb ?| $2, x -> '$.a'";
  const { texts, parameters } = cutStatement(text);
  expect(
    texts.map((piece, index) => piece + (parameters[index] === undefined ? "" : `$${parameters[index]}`)).join(""),
  ).toBe(text);
  expect(parameters).toEqual([1, 2]);
});
