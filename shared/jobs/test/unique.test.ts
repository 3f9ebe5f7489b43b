import { dictionary, assert as fcAssert, jsonValue, property, string } from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineJob, type EnqueueOptions, prepare } from "../src/index.ts";
import { canonicalJson } from "../src/unique.ts";

const payload = z.object({
  account: z.string(),
  n: z.number().optional(),
  address: z.object({ city: z.string() }).optional(),
});
const plain = defineJob({ name: "plain", payload });

describe("what counts as the same work", () => {
  test("by default the whole payload, in whatever order its fields come", () => {
    const unique = defineJob({ name: "u", payload, unique: {} });
    const one = prepare(unique, { account: "a", n: 1 }).unique;
    expect(one).toEqual({ key: expect.any(String), until: "finished", onConflict: "ignore" });
    expect(prepare(unique, { n: 1, account: "a" }).unique).toEqual(one);
    expect(prepare(unique, { n: 2, account: "a" }).unique?.key).not.toBe(one?.key);
  });

  test("fields of the payload, or what a function of it answers", () => {
    const fields = defineJob({ name: "u", payload, unique: { by: ["account", "address.city"] } });
    const key = (city: string, n: number) => prepare(fields, { account: "a", n, address: { city } }).unique?.key;
    expect(key("Berlin", 1)).toBe(key("Berlin", 2));
    expect(key("Berlin", 1)).not.toBe(key("Bern", 1));
    const chosen = defineJob({ name: "u", payload, unique: { by: ({ account }) => `acc-${account}` } });
    expect(prepare(chosen, { account: "a" }).unique?.key).toBe("acc-a");
  });

  test("the call's own word wins, and an id of one's own stands for itself", () => {
    const unique = defineJob({ name: "u", payload, unique: { forMs: 1_000, onConflict: "replace" } });
    expect(prepare(unique, { account: "a" }, { unique: { key: "mine", until: "started" } }).unique).toEqual({
      key: "mine",
      until: "started",
      onConflict: "replace",
    });
    expect(prepare(unique, { account: "a" }, { id: "a" }).unique).toBeUndefined();
    expect(prepare(plain, { account: "a" }).unique).toBeUndefined();
  });

  test("property: equal JSON has equal canonical text, whatever the order of its keys", () => {
    expect(canonicalJson({ b: [{ d: 1, c: 2 }], a: null })).toBe('{"a":null,"b":[{"c":2,"d":1}]}');
    fcAssert(
      property(dictionary(string(), jsonValue()), (one) => {
        const reversed = Object.fromEntries(Object.entries(one).toReversed());
        expect(canonicalJson(reversed)).toBe(canonicalJson(one));
        expect(canonicalJson(JSON.parse(canonicalJson(one)))).toBe(canonicalJson(one));
      }),
    );
  });
});

test.for<{ what: string; options: EnqueueOptions; path: string }>([
  { what: "an id and a unique key", options: { id: "a", unique: {} }, path: "unique" },
  { what: "until and forMs", options: { unique: { until: "started", forMs: 1 } }, path: "unique.forMs" },
  {
    what: "keep-last until started",
    options: { unique: { until: "started", onConflict: "keep-last" } },
    path: "unique.onConflict",
  },
  {
    what: "keep-last for a time",
    options: { unique: { forMs: 5, onConflict: "keep-last" } },
    path: "unique.onConflict",
  },
  { what: "a time that is no number", options: { unique: { forMs: Number.NaN } }, path: "unique.forMs" },
  { what: "a negative time", options: { unique: { forMs: -1 } }, path: "unique.forMs" },
  { what: "an empty key", options: { unique: { key: "" } }, path: "unique.key" },
])("$what is refused, naming $path", ({ options, path }) => {
  expect(() => prepare(plain, { account: "a" }, options)).toThrow(
    expect.objectContaining({ code: "JOB_OPTION_INVALID", details: expect.objectContaining({ path }) }),
  );
});

test("a definition that contradicts itself, or whose function answers no key, is refused", () => {
  const bad = () => defineJob({ name: "u", payload, unique: { until: "started", forMs: 1 } });
  expect(bad).toThrow(expect.objectContaining({ code: "JOB_OPTION_INVALID" }));
  const empty = defineJob({ name: "u", payload, unique: { by: () => "" } });
  expect(() => prepare(empty, { account: "a" })).toThrow(expect.objectContaining({ code: "JOB_OPTION_INVALID" }));
});
