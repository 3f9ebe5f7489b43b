import { propertyRuns } from "@warren/testing/properties";
import { assert, nat, property, string } from "fast-check";
import { describe, expect, test } from "vitest";
import { bodyMatcher } from "../../src/webhooks/body-path.ts";

const quoted = (name: string): string => `[${JSON.stringify(name).replaceAll(/\\u[0-9a-f]{4}|\\[bfnrt]/g, " ")}]`;

describe("conditions on a body", () => {
  test("what matches holds every needle in its bytes, whatever the text, unless it escapes ASCII", () => {
    // JSONPath has no word for control characters, which therefore stand in values only
    const name = string({ minLength: 1, unit: "grapheme" }).map((text) => text.replaceAll(/\p{Cc}/gu, " "));
    assert(
      property(name, string({ unit: "grapheme" }), nat(3), (member, value, at) => {
        const list = Array.from({ length: at + 1 }, (_, index) => (index === at ? value : null));
        const body = Buffer.from(JSON.stringify({ [member]: { list } }));
        for (const path of [
          `${quoted(member)}.list[${at}]`,
          `$${quoted(member)}["list"][*]`,
          `${quoted(member)}.list[-1]`,
        ]) {
          for (const wanted of [{ equals: value }, { contains: value }]) {
            const { matches, needles } = bodyMatcher([{ path, ...wanted }]);
            expect(matches(body)).toBe(true);
            for (const needle of needles) expect(body.includes(needle) || body.includes("\\u00")).toBe(true);
          }
        }
      }),
      { numRuns: propertyRuns(300) },
    );
  });

  const body = { a: { b: [1, "x", null, { c: true }], "d.e": "" }, n: 1e3, big: "9".repeat(30) };
  test.for([
    { path: "a.b[0]", equals: 1, matches: true },
    { path: "a.b[0]", equals: "1", matches: false },
    { path: "a.b[2]", equals: null, matches: true },
    { path: "a.b[4]", exists: true, matches: false },
    { path: "a.b[-1].c", equals: true, matches: true },
    { path: "a.*[*].c", equals: true, matches: true },
    { path: 'a["d.e"]', equals: "", matches: true },
    { path: "a.b", contains: "x", matches: true },
    { path: "a.b.c", exists: false, matches: true },
    { path: "n", equals: 1_000, matches: true },
    { path: "__proto__", exists: true, matches: false },
    { path: "a.constructor", exists: true, matches: false },
    { path: "big", contains: "99", matches: true },
    { path: "missing", exists: false, matches: true },
  ])("$path with $equals $contains $exists: $matches", ({ matches, ...condition }) => {
    expect(bodyMatcher([condition]).matches(Buffer.from(JSON.stringify(body)))).toBe(matches);
  });

  test("what is no JSON never matches, and costs what was given", () => {
    const { matches } = bodyMatcher([{ path: "a[*][*][*]", equals: 1 }]);
    for (const bytes of [Buffer.alloc(0), Buffer.from([0xff]), Buffer.from("{"), Buffer.from("a=1")]) {
      expect(matches(bytes)).toBe(false);
    }
    const wide = Array.from({ length: 300 }, () => Array.from({ length: 300 }, () => [1, 2]));
    expect(matches(Buffer.from(JSON.stringify({ a: wide })))).toBe(true);
  });
});
