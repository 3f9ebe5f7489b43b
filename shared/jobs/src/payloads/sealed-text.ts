import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { PayloadError } from "./errors.ts";
import type { KeyRing } from "./key-ring.ts";

const algorithm = "aes-256-gcm";
const ivBytes = 12;
const tagBytes = 16;
const version = "s1";

/**
 * Seals a text that is no job's, such as a secret kept in a table, with the key ring of payloads: AES-256-GCM under a key derived
 * (HKDF-SHA256) from the ring's current key and `owner`. It opens for this owner only. The owner names table, column and row:
 * `webhook-endpoint/<id>/secret/<id>`.
 * @throws PayloadError `PAYLOAD_KEY_RING_MISSING` without a key ring.
 */
export function sealText(owner: string, clear: string, keyRing: KeyRing | undefined): string {
  if (keyRing === undefined) {
    throw new PayloadError("PAYLOAD_KEY_RING_MISSING", "a secret cannot be kept: this process has no key ring");
  }
  const kid = keyRing.current;
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv(algorithm, keyOf(keyRing, kid, owner), iv, { authTagLength: tagBytes });
  cipher.setAAD(Buffer.from(owner));
  const data = Buffer.concat([cipher.update(clear, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return [version, kid, iv.toString("base64url"), data.toString("base64url")].join(":");
}

/**
 * Opens what `sealText` made for the same owner.
 * @throws PayloadError `PAYLOAD_KEY_UNKNOWN`, `PAYLOAD_SEAL_BROKEN`; nothing of the text is in either.
 */
export function openText(owner: string, sealed: string, keyRing: KeyRing | undefined): string {
  const [form, kid = "", iv = "", data = ""] = sealed.split(":");
  if (form !== version) throw broken(owner, kid);
  if (keyRing?.find(kid) === undefined) {
    const known = keyRing === undefined ? "this process has no key ring" : `known: ${keyRing.ids.join(", ")}`;
    throw new PayloadError("PAYLOAD_KEY_UNKNOWN", `${owner} is sealed under key "${kid}"; ${known}`, {
      details: { keyId: kid },
    });
  }
  try {
    const bytes = Buffer.from(data, "base64url");
    const decipher = createDecipheriv(algorithm, keyOf(keyRing, kid, owner), Buffer.from(iv, "base64url"), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(Buffer.from(owner));
    decipher.setAuthTag(bytes.subarray(-tagBytes));
    return Buffer.concat([decipher.update(bytes.subarray(0, -tagBytes)), decipher.final()]).toString("utf8");
  } catch (cause) {
    throw broken(owner, kid, cause);
  }
}

function keyOf(keyRing: KeyRing, kid: string, owner: string): Buffer {
  const key = keyRing.find(kid) ?? new Uint8Array();
  return Buffer.from(hkdfSync("sha256", key, owner, "warren sealed text 1", 32));
}

function broken(owner: string, kid: string, cause?: unknown): PayloadError {
  return new PayloadError(
    "PAYLOAD_SEAL_BROKEN",
    `${owner} does not open with key "${kid}": it was changed, belongs elsewhere, or the key differs`,
    { details: { keyId: kid }, cause },
  );
}
