import { assert, constantFrom, jsonValue, property } from "fast-check";
import { expect, test } from "vitest";
import { JobDataError } from "../../src/errors.ts";
import { jsonText } from "../../src/json.ts";

function refusal(value: unknown): JobDataError {
  try {
    jsonText("the payload of mail", value, "JOB_PAYLOAD_UNSERIALISABLE");
  } catch (error) {
    if (error instanceof JobDataError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

const cycle: { a: { b: unknown[] } } = { a: { b: [] } };
cycle.a.b.push(0, cycle.a);
class Point {
  #x = 1;
  get x() {
    return this.#x;
  }
}
const deep = (levels: number): unknown => {
  let value: unknown = 1n;
  for (let level = 0; level < levels; level += 1) value = [value];
  return value;
};

test.for<{ what: string; value: unknown; path: string; says: string }>([
  { what: "a cycle", value: cycle, path: "a.b.1", says: "a cycle" },
  { what: "a BigInt", value: { money: [{ amount: 5n }] }, path: "money.0.amount", says: "a BigInt" },
  { what: "NaN", value: { a: { ratio: Number.NaN } }, path: "a.ratio", says: "NaN" },
  { what: "Infinity", value: [1, Number.NEGATIVE_INFINITY], path: "1", says: "-Infinity" },
  { what: "undefined in an array", value: { list: [1, undefined] }, path: "list.1", says: "undefined" },
  {
    what: "a hole in an array",
    value: { list: Array.from({ length: 2 }).fill(1, 0, 1) },
    path: "list.1",
    says: "undefined",
  },
  { what: "a function in an array", value: [() => 0], path: "0", says: "function" },
  { what: "a symbol in an array", value: [Symbol("s")], path: "0", says: "symbol" },
  { what: "a bare function", value: () => 0, path: "", says: "function" },
  { what: "a Map", value: { tags: new Map([[1, 2]]) }, path: "tags", says: "a Map, which JSON writes as {}" },
  { what: "a Set", value: { tags: new Set([1]) }, path: "tags", says: "a Set" },
  { what: "a regular expression", value: { match: /a/ }, path: "match", says: "a RegExp" },
  { what: "an Error", value: { error: new Error("x") }, path: "error", says: "a Error" },
  { what: "an object whose data is private", value: { at: new Point() }, path: "at", says: "a Point" },
  { what: "an invalid Date", value: { at: new Date(Number.NaN) }, path: "at", says: "an invalid Date" },
  { what: "U+0000", value: { a: ["x\u0000y"] }, path: "a.0", says: "U+0000" },
  { what: "half of a surrogate pair", value: { a: "\ud83d" }, path: "a", says: "surrogate" },
  { what: "a name with U+0000", value: { "x\u0000": 1 }, path: "x\u0000", says: "name" },
  {
    what: "a BigInt that lies too deep to look at",
    value: deep(3_000),
    path: "0.0.0.0.0.0.0.0.0.0",
    says: "deeper than",
  },
])("$what is refused with its path", ({ value, path, says }) => {
  const error = refusal(value);
  expect(error.code).toBe("JOB_PAYLOAD_UNSERIALISABLE");
  expect(error.details["path"]).toBe(path);
  expect(error.message).toContain(says);
});

test("properties that are undefined, functions or symbols are left out, as JSON does", () => {
  const value = { kept: 1, gone: undefined, run: () => 0, mark: Symbol("s"), none: null };
  expect(jsonText("x", value, "JOB_PAYLOAD_UNSERIALISABLE")).toBe('{"kept":1,"none":null}');
});

test("what knows how to write itself does so", () => {
  const at = new Date(0);
  expect(jsonText("x", { at, url: new URL("http://a/"), none: null }, "JOB_PAYLOAD_UNSERIALISABLE")).toBe(
    '{"at":"1970-01-01T00:00:00.000Z","url":"http://a/","none":null}',
  );
});

test("the same object twice is no cycle", () => {
  const shared = { a: null };
  expect(jsonText("x", [shared, shared], "JOB_PAYLOAD_UNSERIALISABLE")).toBe('[{"a":null},{"a":null}]');
});

test("nothing at all is null", () => {
  expect([undefined, null].map((value) => jsonText("x", value, "JOB_RESULT_UNSERIALISABLE"))).toEqual(["null", "null"]);
});

const letter = constantFrom("a", "u", "n", "l", "{", "}", "\\", '"', "й", "😀", "\u0000", "\ud800", "\u007f", "\n");

test("property: what JSON can hold passes unchanged", () => {
  assert(
    property(jsonValue({ stringUnit: letter }), (value) => {
      const text = JSON.stringify(value);
      // these are what Postgres refuses, and have tests of their own
      if (/\\u(0000|d[89a-f])/i.test(text)) return;
      expect(jsonText("x", value, "JOB_PAYLOAD_UNSERIALISABLE")).toBe(text);
    }),
  );
});
