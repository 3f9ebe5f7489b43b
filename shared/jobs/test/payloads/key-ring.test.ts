import { randomBytes } from "node:crypto";
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { createKeyRing, parseKeyRing } from "../../src/payloads/key-ring.ts";

const key = () => randomBytes(32);

test("the current key encrypts, all can be found", () => {
  const [old, now] = [key(), key()];
  const ring = createKeyRing({ current: "2026-11", keys: { "2026-05": old, "2026-11": now.toString("base64") } });
  expect([ring.current, ring.ids]).toEqual(["2026-11", ["2026-05", "2026-11"]]);
  expect([ring.find("2026-05"), ring.find("2026-11"), ring.find("2027")]).toEqual([old, now, undefined]);
});

test("a text of several keys has the current one first; lines or commas part them", () => {
  const [old, now] = [key(), key()];
  const ring = parseKeyRing(`2026-11:${now.toString("base64")},\n 2026-05:${old.toString("base64")}\n`);
  expect([ring.current, ring.find("2026-05")]).toEqual(["2026-11", old]);
});

test("nobody changes a key through the bytes that were given, or prints one", () => {
  const given = key();
  const before = Buffer.from(given);
  const ring = createKeyRing({ current: "a", keys: { a: given } });
  given.fill(0);
  expect(ring.find("a")).toEqual(before);
  expect(`${inspect(ring, { depth: 9, showHidden: true })} ${JSON.stringify(ring)}`).not.toContain(
    before.toString("hex").slice(0, 6),
  );
});

test.for<{ what: string; make: () => unknown; says: string }>([
  { what: "no key", make: () => createKeyRing({ current: "a", keys: {} }), says: "no keys" },
  { what: "an empty text", make: () => parseKeyRing(""), says: "no keys" },
  {
    what: "16 bytes",
    make: () => createKeyRing({ current: "a", keys: { a: randomBytes(16) } }),
    says: "16 bytes long, not 32",
  },
  { what: "33 bytes", make: () => createKeyRing({ current: "a", keys: { a: randomBytes(33) } }), says: "33 bytes" },
  { what: "hexadecimal text", make: () => parseKeyRing(`a:${key().toString("hex")}`), says: "48 bytes" },
  { what: "what is no base64", make: () => parseKeyRing("a:hunter2 hunter2"), says: "no base64" },
  {
    what: "an unknown current key",
    make: () => createKeyRing({ current: "b", keys: { a: key() } }),
    says: 'current key "b"',
  },
  { what: "a key without an id", make: () => parseKeyRing(`:${key().toString("base64")}`), says: "no key id" },
  {
    what: "an id with a space",
    make: () => createKeyRing({ current: "a b", keys: { "a b": key() } }),
    says: "no key id",
  },
  {
    what: "a bare key",
    make: () => parseKeyRing(key().toString("base64").replaceAll(":", "")),
    says: "expected id:base64",
  },
  {
    what: "the same id twice",
    make: () => parseKeyRing(`a:${key().toString("base64")},a:${key().toString("base64")}`),
    says: "given twice",
  },
])("$what is refused", ({ make, says }) => {
  expect(make).toThrow(expect.objectContaining({ code: "PAYLOAD_KEY_RING_INVALID" }));
  expect(make).toThrow(says);
  expect(make).not.toThrow("hunter2");
});
