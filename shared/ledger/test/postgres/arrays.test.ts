import { array, assert, option, property, string } from "fast-check";
import { expect, test } from "vitest";
import { plainArray, textArray } from "../../src/postgres/arrays.ts";

/** Reads a one-dimensional array literal as Postgres documents it (18, §8.15.6). */
function readArray(literal: string): (string | undefined)[] {
  const values: (string | undefined)[] = [];
  const element = /"((?:[^"\\]|\\.)*)"|([^",{}]+)/gsy;
  for (let at = 1; at < literal.length - 1; at = element.lastIndex + 1) {
    element.lastIndex = at;
    const match = element.exec(literal);
    if (match === null) throw new Error(`no element at ${at} of ${literal}`);
    values.push(match[1] === undefined ? undefined : match[1].replaceAll(/\\(.)/gs, "$1"));
  }
  return values;
}

test("any text survives an array literal, and a missing value is NULL", () => {
  assert(
    property(array(option(string({ unit: "binary" }), { nil: undefined })), (values) => {
      expect(readArray(textArray(values))).toEqual(values);
    }),
  );
});

test("numbers and ids stand as they are", () => {
  expect(plainArray([1, undefined, "0192"])).toBe("{1,NULL,0192}");
});
