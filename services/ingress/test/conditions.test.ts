import { parseJsonPath, ruleCondition, typePattern } from "@warren/contracts";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileCondition } from "../src/routing/condition.ts";
import { newBudget, stepsOf, textAtPath, valuesAt } from "../src/routing/json-path.ts";
import { patternOf, typesOf } from "../src/routing/pattern.ts";

const order = {
  id: "o-1",
  total: 120.5,
  paid: true,
  note: null,
  tags: ["new", "eu"],
  items: [
    { sku: "lamp", price: 20 },
    { sku: "desk", price: 100, gift: true },
  ],
  "odd name": { "it's": 1 },
  at: "2026-11-22T12:00:00Z",
};

function judge(condition: unknown, body: unknown = order): string {
  const documents = {
    body: () => body,
    headers: () => ({ "x-shop": "eu", "content-type": "application/json" }),
    query: () => ({ test: "1", tag: ["a", "b"] }),
  };
  return compileCondition(ruleCondition.parse(condition))(documents).kind;
}

describe("a JSON path", () => {
  test.for([
    { path: "$", finds: [order] },
    { path: "$.id", finds: ["o-1"] },
    { path: "$['odd name'][\"it's\"]", finds: [1] },
    { path: "$['odd name']['it\\'s']", finds: [1] },
    { path: "$.items[0].sku", finds: ["lamp"] },
    { path: "$.items[-1].sku", finds: ["desk"] },
    { path: "$.items[*].price", finds: [20, 100] },
    { path: "$.items.*.gift", finds: [true] },
    { path: "$.items[7].sku", finds: [] },
    { path: "$.id.length", finds: [] },
    { path: "$.tags.length", finds: [] },
    { path: "$.__proto__", finds: [] },
    { path: "$.constructor.name", finds: [] },
    { path: "$.note", finds: [null] },
  ])("$path finds its values", ({ path, finds }) => {
    expect(valuesAt(order, stepsOf(path), newBudget())).toEqual(finds);
  });

  test.for([
    "",
    "id",
    ".id",
    "$id",
    "$.",
    "$..id",
    "$[",
    "$[?(@.a)]",
    "$[0:2]",
    "$['a",
    "$[01]",
    "$.a b",
    `$${".a".repeat(33)}`,
  ])("%j is none", (path) => {
    expect(parseJsonPath(path)).toBeUndefined();
  });

  test("of any name leads to its value, and reading never throws whatever the body", () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue(), (name, value) => {
        const steps = parseJsonPath(`$[${JSON.stringify(name)}]`);
        // an escape of JSON that stands for itself in a path is another name; all else is the same
        fc.pre(!JSON.stringify(name).includes("\\"));
        expect(valuesAt({ [name]: value }, steps ?? [], newBudget())).toEqual([value]);
        textAtPath(value, steps ?? []);
      }),
    );
  });

  test("that names too many values answers none instead of taking all day", () => {
    const rows = Array.from({ length: 200 }, () => Array.from({ length: 200 }, () => 1));
    expect(valuesAt(rows, stepsOf("$[*][*]"), newBudget())).toBeUndefined();
    expect(judge({ path: "$[*][*]", op: "eq", value: 2 }, rows)).toBe("failed");
  });
});

describe("a condition", () => {
  test.for([
    [{ path: "$.id", op: "eq", value: "o-1" }, "fits"],
    [{ path: "$.total", op: "eq", value: "120.5" }, "unfit"],
    [{ path: "$.id", op: "ne", value: "o-1" }, "unfit"],
    [{ path: "$.nothing", op: "ne", value: "x" }, "fits"],
    [{ path: "$.items[*].sku", op: "ne", value: "lamp" }, "unfit"],
    [{ path: "$.note", op: "eq", value: null }, "fits"],
    [{ path: "$.nothing", op: "eq", value: null }, "unfit"],
    [{ path: "$.id", op: "in", value: ["x", "o-1"] }, "fits"],
    [{ path: "$.items[*].sku", op: "notIn", value: ["sofa"] }, "fits"],
    [{ path: "$.total", op: "gt", value: 100 }, "fits"],
    [{ path: "$.total", op: "gte", value: 120.5 }, "fits"],
    [{ path: "$.total", op: "lt", value: 120.5 }, "unfit"],
    [{ path: "$.items[*].price", op: "lte", value: 20 }, "fits"],
    [{ path: "$.at", op: "gt", value: "2026-01-01" }, "fits"],
    [{ path: "$.id", op: "gt", value: 1 }, "failed"],
    [{ path: "$.note", op: "gt", value: 1 }, "unfit"],
    [{ path: "$.nothing", op: "gt", value: 1 }, "unfit"],
    [{ path: "$.id", op: "startsWith", value: "o-" }, "fits"],
    [{ path: "$.id", op: "endsWith", value: "-2" }, "unfit"],
    [{ path: "$.total", op: "startsWith", value: "1" }, "failed"],
    [{ path: "$.id", op: "contains", value: "-" }, "fits"],
    [{ path: "$.tags", op: "contains", value: "eu" }, "fits"],
    [{ path: "$.paid", op: "contains", value: "t" }, "failed"],
    [{ path: "$.at", op: "like", value: "2026-*T*Z" }, "fits"],
    [{ path: "$.note", op: "exists", value: true }, "fits"],
    [{ path: "$.nothing", op: "exists", value: false }, "fits"],
    [{ path: "$.items[*].gift", op: "exists", value: true }, "fits"],
    [{ path: "$.tags", op: "type", value: "array" }, "fits"],
    [{ path: "$.note", op: "type", value: "object" }, "unfit"],
    [{ on: "headers", path: "$['x-shop']", op: "eq", value: "eu" }, "fits"],
    [{ on: "query", path: "$.tag[*]", op: "eq", value: "b" }, "fits"],
    [{ all: [{ path: "$.paid", op: "eq", value: true }, { not: { path: "$.id", op: "eq", value: "x" } }] }, "fits"],
    [
      {
        all: [
          { path: "$.id", op: "gt", value: 1 },
          { path: "$.id", op: "eq", value: "x" },
        ],
      },
      "unfit",
    ],
    [
      {
        all: [
          { path: "$.id", op: "gt", value: 1 },
          { path: "$.id", op: "eq", value: "o-1" },
        ],
      },
      "failed",
    ],
    [
      {
        any: [
          { path: "$.id", op: "gt", value: 1 },
          { path: "$.id", op: "eq", value: "o-1" },
        ],
      },
      "fits",
    ],
    [
      {
        any: [
          { path: "$.id", op: "gt", value: 1 },
          { path: "$.id", op: "eq", value: "x" },
        ],
      },
      "failed",
    ],
    [{ not: { path: "$.id", op: "gt", value: 1 } }, "failed"],
  ] as const)("%j of the order is %s", ([condition, judgement]) => {
    expect(judge(condition)).toBe(judgement);
  });

  test("about a body that is no JSON cannot be judged; about headers it can", () => {
    const documents = { body: () => undefined, headers: () => ({ a: "1" }), query: () => ({}) };
    expect(compileCondition({ path: "$.id", op: "exists", value: false })(documents)).toEqual({
      kind: "failed",
      why: "the body is not JSON",
    });
    expect(compileCondition({ on: "headers", path: "$.a", op: "eq", value: "1" })(documents).kind).toBe("fits");
  });

  test("answers whatever the body is, and its opposite is the opposite", () => {
    const path = fc.constantFrom("$", "$.a", "$[0]", "$.*", "$[*].a", "$.a.b");
    const scalar = fc.oneof(
      fc.string(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.boolean(),
      fc.constant(null),
    );
    const leaf = fc.oneof(
      fc.record({ path, op: fc.constantFrom("eq", "ne"), value: scalar }),
      fc.record({ path, op: fc.constantFrom("gt", "lte"), value: fc.oneof(fc.integer(), fc.string()) }),
      fc.record({ path, op: fc.constantFrom("contains", "like", "startsWith"), value: fc.string({ minLength: 1 }) }),
      fc.record({ path, op: fc.constant("exists"), value: fc.boolean() }),
    );
    const nested = fc.array(leaf, { minLength: 1, maxLength: 3 });
    const any = fc.oneof(leaf, fc.record({ all: nested }), fc.record({ any: nested }));
    const opposite = { fits: "unfit", unfit: "fits", failed: "failed" } as const;
    fc.assert(
      fc.property(any, fc.jsonValue(), (condition, body) => {
        const judgement = judge(condition, body) as keyof typeof opposite;
        expect(judge({ not: condition }, body)).toBe(opposite[judgement]);
      }),
    );
  });

  test("is refused where it is not of the documented form, however deep it is nested", () => {
    let deep: unknown = { path: "$.a", op: "eq", value: 1 };
    for (let level = 0; level < 50_000; level++) deep = { not: deep };
    for (const wrong of [
      deep,
      { path: "$.a", op: "matches", value: "x" },
      { path: "a", op: "eq", value: 1 },
      { path: "$.a", op: "gt", value: true },
      { path: "$.a", op: "eq", value: {} },
      { path: "$.a", op: "exists" },
      { all: [] },
      { all: [], any: [] },
      { path: "$.a", op: "eq", value: 1, more: 1 },
      null,
      "x",
    ]) {
      expect(ruleCondition.safeParse(wrong).success).toBe(false);
    }
  });
});

describe("a pattern of types", () => {
  test.for([
    ["invoice.*", "invoice.paid", true],
    ["invoice.*", "invoice", false],
    ["*", "", true],
    ["orders/create", "orders/create", true],
    ["orders/create", "orders/created", false],
    ["*.created", "a.created", true],
    ["a*b*c", "a-b-b-c", true],
    ["a*b*c", "a-c", false],
    ["a*a", "a", false],
    ["a**a", "aa", true],
  ] as const)("%s and %s: %s", ([pattern, type, fits]) => {
    expect(patternOf(typePattern.parse(pattern))(type)).toBe(fits);
  });

  test("agrees with the same pattern as a regular expression", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "*"), minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(letters, fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 }), (pattern, text) => {
        expect(patternOf(pattern)(text)).toBe(new RegExp(`^${pattern.replaceAll("*", "[^]*")}$`).test(text));
      }),
    );
  });

  test("events without a type are taken only where every type is", () => {
    expect(typesOf([])(undefined)).toBe(true);
    expect(typesOf(["a", "*"])(undefined)).toBe(true);
    expect(typesOf(["a*"])(undefined)).toBe(false);
  });
});
