import { PayloadError } from "./errors.ts";

/** Keys for payloads by id: one encrypts, all decrypt. Make it with `createKeyRing`. Printing it shows the ids only. */
export interface KeyRing {
  /** The id of the key that encrypts. */
  readonly current: string;
  /** All ids. */
  readonly ids: readonly string[];
  /** The 32 bytes of a key; `undefined` if it is not in the ring. */
  find(id: string): Uint8Array | undefined;
}

export interface KeyRingOptions {
  /** The id of the key that encrypts from now on. */
  readonly current: string;
  /** 32 random bytes each, as bytes or as base64. Keep a key for as long as something that it encrypted is kept. */
  readonly keys: Readonly<Record<string, Uint8Array | string>>;
}

const keyBytes = 32;
const keyId = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** @throws PayloadError `PAYLOAD_KEY_RING_INVALID` for a key that is not 32 bytes, a malformed id, a current key that is not there. */
export function createKeyRing({ current, keys }: KeyRingOptions): KeyRing {
  const byId = new Map<string, Uint8Array>();
  for (const [id, key] of Object.entries(keys)) {
    if (!keyId.test(id))
      throw invalid(`"${id}" is no key id: expected 1 to 64 letters, digits, dots, dashes, underscores`);
    byId.set(id, readKey(id, key));
  }
  if (byId.size === 0) throw invalid("it has no keys");
  if (!byId.has(current))
    throw invalid(`the current key "${current}" is not among its keys: ${[...byId.keys()].join(", ")}`);
  return Object.freeze({
    current,
    ids: Object.freeze([...byId.keys()]),
    // own bytes: nobody can change a key through the buffer it was given in
    find: (id: string) => byId.get(id),
  });
}

/**
 * Reads `id:base64,id:base64`: the first one is current, the others only decrypt.
 * @throws PayloadError `PAYLOAD_KEY_RING_INVALID`, never with a key in its message.
 */
export function parseKeyRing(text: string): KeyRing {
  const pairs = text
    .split(/[,\n]/)
    .map((pair) => pair.trim())
    .filter((pair) => pair !== "")
    .map((pair): [string, string] => {
      const colon = pair.indexOf(":");
      if (colon < 0) throw invalid("expected id:base64 of 32 bytes, several with commas between");
      return [pair.slice(0, colon), pair.slice(colon + 1)];
    });
  const repeated = pairs.find(([id], index) => pairs.findIndex(([other]) => other === id) !== index);
  if (repeated !== undefined) throw invalid(`key "${repeated[0]}" is given twice`);
  return createKeyRing({ current: pairs[0]?.[0] ?? "", keys: Object.fromEntries(pairs) });
}

function readKey(id: string, key: Uint8Array | string): Uint8Array {
  const bytes = typeof key === "string" ? Buffer.from(key, "base64") : Buffer.from(key);
  // Buffer skips what is no base64: only text that comes out again was a key
  const clean = typeof key !== "string" || bytes.toString("base64").replace(/=+$/, "") === key.replace(/=+$/, "");
  if (!clean) throw invalid(`key "${id}" is no base64`);
  if (bytes.length !== keyBytes) throw invalid(`key "${id}" is ${bytes.length} bytes long, not ${keyBytes}`);
  return bytes;
}

function invalid(why: string): PayloadError {
  return new PayloadError("PAYLOAD_KEY_RING_INVALID", `key ring: ${why}`);
}
