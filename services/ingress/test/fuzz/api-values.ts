import { tokens } from "./dictionary.ts";
import type { Random } from "./random.ts";

/** Nobody has it. */
export const noId = "0199c5c4-6a00-7000-8000-0000000000ff";

export type Schema = Readonly<Record<string, unknown>>;

/** What bodies and parameters are made of. */
export interface Vocabulary {
  readonly schemas: Readonly<Record<string, Schema>>;
  /** Ids and names that answers have shown, by what they are of: see `areaOf`. */
  readonly known: Readonly<Record<string, readonly string[]>>;
  /** How often something else stands where the schema wants what it wants, 0 to 1. */
  readonly wrongShare: number;
}

/** What schemas cannot tell: values that reach further in, by the member's name. */
const words: Readonly<Record<string, readonly unknown[]>> = {
  name: ["shop", "shop-eu", "to-orders", "github", "__proto__", "x".repeat(64)],
  source: ["github", "stripe", "shop", null],
  provider: ["github", "standard-webhooks", "hmac", "bearer", "yookassa", "meta", "basic"],
  url: ["https://hooks.example.com/in", "http://127.0.0.1:1/", "https://[::1]/", "https://xn--.example/"],
  code: [
    "function transform(event) { return event.body; }",
    "function transform() { for (;;); }",
    "function transform() { const a = []; for (;;) a.push(new Array(1e5).fill(1)); }",
    "function transform() { return transform(); }",
    "function transform(e) { throw new Error(JSON.stringify(e)); }",
    "(".repeat(5_000),
    `function transform() { return "${"x".repeat(100_000)}".repeat(1000); }`,
    "function transform() { return new Promise(() => {}); }",
    "export default 1",
  ],
  each: ["$.items[*]", "$.a", "$..b", "$[*]"],
  when: [
    { "body.a": 1 },
    { path: "$.a", equals: 1 },
    { all: [{ path: "$.a", exists: true }] },
    { not: { not: { not: { path: "$.b", matches: "(a+)+$" } } } },
  ],
  types: [["*"], ["#"], ["invoice.*"], ["a.b.c", "d.#"]],
  eventTypes: [["invoice.*"], ["#"], []],
  type: ["invoice.paid", "a", "push"],
  eventType: ["invoice.paid", "warren.test"],
  body: ["a.b=1", "$.a[*].b=x", 'data.object.id="pi_1"', { a: [1, { b: null }] }],
  secret: [`whsec_${Buffer.alloc(32, 1).toString("base64")}`],
  since: ["2026-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "+275760-09-13T00:00:00Z"],
  cursor: [cursor(1), cursor("a"), cursor({}), cursor(noId), cursor("\u0000"), "%21", "e30"],
};

function cursor(place: unknown): string {
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

const hostile: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  0.1,
  1e308,
  2 ** 53,
  -(2 ** 31) - 1,
  "",
  "\u0000",
  "a\u0000b",
  "\ud800",
  "\u202e",
  "x".repeat(20_000),
  [],
  {},
  [[[[[[[[]]]]]]]],
  { constructor: { prototype: { polluted: true } } },
  { toString: 1, valueOf: null },
  Array.from({ length: 2_000 }, (_, at) => at),
  Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`k${at}`, at])),
  ...tokens,
];

const deepest = 8;

/** A value of a JSON Schema, most of the time; `name` is the member's that it is for. */
export function valueOf(schema: Schema, random: Random, vocabulary: Vocabulary, name = "", depth = 0): unknown {
  if (random.chance(vocabulary.wrongShare)) return random.pick(hostile);
  const own = Object.hasOwn(words, name) ? words[name] : undefined;
  if (own !== undefined && random.chance(0.6)) return random.pick(own);
  if (depth > deepest) return random.pick([null, 1, "a", [], {}]);
  const of = (some: unknown, member = name): unknown => valueOf(some as Schema, random, vocabulary, member, depth + 1);
  if (typeof schema["$ref"] === "string") return of(vocabulary.schemas[schema["$ref"].split("/").at(-1) ?? ""] ?? {});
  for (const choice of ["anyOf", "oneOf"]) {
    if (Array.isArray(schema[choice])) return of(random.pick(schema[choice]));
  }
  if (Array.isArray(schema["allOf"])) {
    const parts = schema["allOf"].map((part) => of(part));
    return Object.assign({}, ...parts.filter((part) => typeof part === "object"));
  }
  if ("const" in schema) return schema["const"];
  if (Array.isArray(schema["enum"])) return random.pick(schema["enum"]);
  const { type } = schema;
  switch (Array.isArray(type) ? random.pick(type) : type) {
    case "string":
      return stringOf(schema, random, vocabulary);
    case "integer":
    case "number":
      return numberOf(schema, random);
    case "boolean":
      return random.chance(0.5);
    case "null":
      return null;
    case "array": {
      const least = Number(schema["minItems"] ?? 0);
      const length = random.whole(least, Math.max(least, Math.min(Number(schema["maxItems"] ?? 4), 4)));
      return Array.from({ length }, () => of(schema["items"] ?? {}));
    }
    case "object":
      return objectOf(schema, random, vocabulary, of);
    default:
      return random.chance(0.5) ? random.pick(hostile) : { a: [1, { b: "c" }], id: random.pick(["1", null]) };
  }
}

function objectOf(
  schema: Schema,
  random: Random,
  { wrongShare }: Vocabulary,
  of: (schema: unknown, name?: string) => unknown,
): unknown {
  const required = (schema["required"] ?? []) as readonly string[];
  const members = Object.entries((schema["properties"] ?? {}) as Record<string, unknown>)
    .filter(([name]) => random.chance(required.includes(name) ? 1 - wrongShare : 0.3))
    .map(([name, one]) => [name, of(one, name)]);
  const { additionalProperties: more } = schema;
  if (typeof more === "object" && more !== null) {
    for (let left = random.whole(0, 3); left > 0; left -= 1) members.push([random.pick(tokens), of(more, "")]);
  } else if (random.chance(wrongShare)) members.push([random.pick(tokens), random.pick(hostile)]);
  return Object.fromEntries(members);
}

function stringOf({ format, pattern, ...schema }: Schema, random: Random, { known, wrongShare }: Vocabulary): string {
  if (random.chance(wrongShare)) return random.pick(tokens);
  if (format === "uuid") return random.chance(0.9) ? random.pick([...Object.values(known).flat(), noId]) : noId;
  if (format === "date-time") return new Date(Date.UTC(2026, 10, 1) + random.whole(-1e10, 3e9)).toISOString();
  if (format === "email") return "anna@example.com";
  if (typeof pattern === "string" && random.chance(0.3)) return random.pick([...(known["sources"] ?? []), "github"]);
  const least = Number(schema["minLength"] ?? 0);
  const length = random.whole(least, Math.max(least, Math.min(Number(schema["maxLength"] ?? 40), 40)));
  return Array.from({ length }, () => random.pick(["a", "b", "-", "7", ".", "é", " "])).join("");
}

function numberOf(schema: Schema, random: Random): number {
  const least = Number(schema["minimum"] ?? schema["exclusiveMinimum"] ?? -10);
  const most = Number(schema["maximum"] ?? least + 1_000);
  return random.chance(0.2) ? random.pick([least, most]) : random.whole(Math.ceil(least), Math.floor(most));
}
