import { array, assert, constantFrom, nat, property } from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../src/define.ts";
import { prepare } from "../../src/enqueue/draft.ts";
import { exceeds } from "../../src/payloads/limits.ts";

const note = (options: object = {}) => defineJob({ name: "note", payload: z.object({ text: z.string() }), ...options });
/** Bytes of `{"text":""}`. */
const frame = 11;

test("bytes are counted, not characters: non-ASCII text reaches the limit earlier", () => {
  const definition = note({ maxPayloadBytes: 100 });
  expect(() => prepare(definition, { text: "a".repeat(100 - frame) })).not.toThrow();
  expect(() => prepare(definition, { text: "a".repeat(101 - frame) })).toThrow("takes 101 bytes");
  expect(() => prepare(definition, { text: "й".repeat(44) })).not.toThrow();
  expect(() => prepare(definition, { text: "й".repeat(45) })).toThrow("takes 101 bytes");
  expect(() => prepare(definition, { text: "😀".repeat(22) })).not.toThrow();
  expect(() => prepare(definition, { text: "😀".repeat(23) })).toThrow("takes 103 bytes");
});

test("the error tells size, limit and what to do", () => {
  expect(() => prepare(note(), { text: "й".repeat(200_000) })).toThrow(
    expect.objectContaining({
      code: "JOB_PAYLOAD_TOO_LARGE",
      details: { bytes: 400_000 + frame, limit: 262_144 },
      message: expect.stringContaining('raise "maxPayloadBytes" and set "offloadAboveBytes"'),
    }),
  );
});

test("property: the quick look agrees with the exact count", () => {
  assert(
    property(array(constantFrom("a", "й", "€", "😀", "\ud800")), nat(60), (letters, limit) => {
      const text = letters.join("");
      expect(exceeds(text, limit)).toBe(Buffer.byteLength(text) > limit);
    }),
  );
});

test.for<{ options: object; path: string }>([
  { options: { maxPayloadBytes: 0 }, path: "maxPayloadBytes" },
  { options: { maxPayloadBytes: -1 }, path: "maxPayloadBytes" },
  { options: { maxPayloadBytes: Number.NaN }, path: "maxPayloadBytes" },
  { options: { maxPayloadBytes: 67_108_865 }, path: "maxPayloadBytes" },
  { options: { maxPayloadBytes: 1_048_577 }, path: "maxPayloadBytes" },
  { options: { maxResultBytes: 1_048_577 }, path: "maxResultBytes" },
  { options: { offloadAboveBytes: -1 }, path: "offloadAboveBytes" },
  { options: { offloadAboveBytes: 1_048_577 }, path: "offloadAboveBytes" },
  { options: { encrypt: ["text"] }, path: "encrypt" },
  { options: { search: [] }, path: "search" },
  { options: { search: "text" }, path: "search" },
])("the definition options $options are refused", ({ options, path }) => {
  expect(() => note(options)).toThrow(expect.objectContaining({ code: "JOB_OPTION_INVALID", details: { path } }));
});

test("more than a row may hold is allowed where it goes to the store", () => {
  expect(note({ maxPayloadBytes: 50_000_000, offloadAboveBytes: 65_536 }).maxPayloadBytes).toBe(50_000_000);
});

test.for([
  { what: "encrypted", options: { encrypt: true } },
  { what: "large", options: { offloadAboveBytes: 5 } },
])("a bare prepare refuses an $what payload rather than store it in plain", ({ options }) => {
  expect(() => prepare(note(options), { text: "secret" })).toThrow(
    expect.objectContaining({ code: "JOB_SEALING_REQUIRED" }),
  );
});

test("a small payload of a definition that offloads large ones is prepared in plain", () => {
  expect(prepare(note({ offloadAboveBytes: 100 }), { text: "small" }).payload).toEqual({ text: "small" });
});
