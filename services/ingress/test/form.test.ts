import { propertyRuns } from "@warren/testing/properties";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseForm } from "../src/verify/form.ts";

function pairsOf(body: Buffer): readonly (readonly [string, string])[] {
  return [...parseForm(body)].flatMap(([name, values]) => values.map((value): [string, string] => [name, value]));
}

/** By the platform's own parser, which mistakes bytes beyond ASCII beside escapes, so these are escaped too; in the order of the first of each name. */
function expected(body: Buffer): readonly (readonly [string, string])[] {
  const ascii = [...body].map((byte) => (byte < 0x80 ? String.fromCodePoint(byte) : `%${byte.toString(16)}`)).join("");
  const pairs = [...new URLSearchParams(`&${ascii}`)];
  return [...Map.groupBy(pairs, ([name]) => name).values()].flat();
}

describe("a form is read as browsers read it", () => {
  test.for([
    "a=1&b=2",
    "a",
    "a=",
    "=b",
    "=",
    "&&a&&",
    "a=b=c",
    "?a=1",
    "a+b=c+d",
    "a%20b=%2B",
    "a=%",
    "a=%4",
    "a=%zz",
    "%E2%82%AC=%f0%9f%98%80",
    "a=%ff",
    "a=%e2%82",
    "a=1&a=2&a=1",
  ])("%j", (text) => {
    expect(pairsOf(Buffer.from(text))).toEqual(expected(Buffer.from(text)));
  });

  test("whatever its bytes", () => {
    const piece = fc.oneof(
      fc.constantFrom("&", "=", "+", "%", "%2", "%41", "%e2%82", "%ff", "a", "é", "\u0000"),
      fc.string(),
    );
    const text = fc.array(piece, { maxLength: 30 }).map((pieces) => Buffer.from(pieces.join("")));
    const bytes = fc.uint8Array({ maxLength: 60 }).map((some) => Buffer.from(some));
    fc.assert(
      fc.property(fc.oneof(text, bytes), (body) => {
        expect(pairsOf(body)).toEqual(expected(body));
      }),
      { numRuns: propertyRuns(2_000) },
    );
  });
});

// Node's parser takes eight seconds for the first of these
test.for(["a&", "&", "=", "a=&", "%41", "%", "+", "a=1&a=2&", "%E2%82%AC&"])(
  "a megabyte of %j is read within a second",
  (filler) => {
    const body = Buffer.from(filler.repeat(1_048_576 / filler.length));
    const before = process.cpuUsage();
    parseForm(body);
    expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
  },
);

test("a form of more fields than anybody sends is none", () => {
  expect(parseForm(Buffer.from("a=1&".repeat(2_000))).get("a")).toHaveLength(2_000);
  expect(parseForm(Buffer.from("a=1&".repeat(2_001))).size).toBe(0);
});
