import { assert, constantFrom, integer, property, string, tuple } from "fast-check";
import { expect, test } from "vitest";
import { PayloadError } from "../../src/payloads/errors.ts";
import { createKeyRing, type KeyRing } from "../../src/payloads/key-ring.ts";
import { openText, sealText } from "../../src/payloads/sealed-text.ts";

const key = (byte: number) => new Uint8Array(32).fill(byte);
const ring = createKeyRing({ current: "k1", keys: { k1: key(1) } });

function refusal(owner: string, sealed: string, keyRing: KeyRing | undefined): string {
  try {
    openText(owner, sealed, keyRing);
  } catch (error) {
    if (error instanceof PayloadError) return error.code;
    throw error;
  }
  return "opened";
}

test("any text comes back for its owner, and for nobody else", () => {
  assert(
    property(string({ unit: "binary" }), string({ minLength: 1 }), (clear, owner) => {
      const sealed = sealText(owner, clear, ring);
      expect(openText(owner, sealed, ring)).toBe(clear.toWellFormed());
      expect(refusal(`${owner}x`, sealed, ring)).toBe("PAYLOAD_SEAL_BROKEN");
    }),
  );
});

test("a changed character anywhere is noticed", () => {
  const sealed = sealText("row", "whsec_secret", ring);
  assert(
    property(tuple(integer({ min: 0, max: sealed.length - 1 }), constantFrom("A", "z", "7", ":")), ([at, other]) => {
      const changed = sealed.slice(0, at) + other + sealed.slice(at + 1);
      // the last character of base64 holds bits that say nothing
      if (changed === sealed || at === sealed.length - 1 || sealed[at + 1] === ":") return;
      expect(refusal("row", changed, ring)).not.toBe("opened");
    }),
  );
});

test("after a rotation the old key still opens, and an unknown one is named", () => {
  const sealed = sealText("row", "secret", ring);
  const rotated = createKeyRing({ current: "k2", keys: { k1: key(1), k2: key(2) } });
  expect(openText("row", sealed, rotated)).toBe("secret");
  expect(refusal("row", sealed, createKeyRing({ current: "k2", keys: { k2: key(2) } }))).toBe("PAYLOAD_KEY_UNKNOWN");
  expect(refusal("row", sealed, undefined)).toBe("PAYLOAD_KEY_UNKNOWN");
});

test("without a key ring nothing is sealed", () => {
  expect(() => sealText("row", "secret", undefined)).toThrow(
    expect.objectContaining({ code: "PAYLOAD_KEY_RING_MISSING" }),
  );
});
