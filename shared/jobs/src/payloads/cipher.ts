import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { PayloadError } from "./errors.ts";
import type { KeyRing } from "./key-ring.ts";

/** Whose data it is: bound into what is encrypted, so that it opens nowhere else. */
export interface Place {
  /** The job's id; of a payload whose job has a unique key, `payloadOwner`. */
  readonly jobId: string;
  /** Name of the job definition. */
  readonly name: string;
  readonly column: "payload" | "result" | "error";
}

export interface Encrypted {
  readonly kid: string;
  /** 96 random bits, base64. */
  readonly iv: string;
  /** Ciphertext and 128-bit tag. */
  readonly data: Buffer;
}

const algorithm = "aes-256-gcm";
const ivBytes = 12;
const tagBytes = 16;

/**
 * AES-256-GCM under a key derived (HKDF-SHA256) from the ring's current key and the job's id: the limit of 2^32 random nonces a key
 * (NIST SP 800-38D §8.3) then counts for one job, not for all.
 */
export function encrypt(place: Place, clear: string, keyRing: KeyRing, random = randomBytes): Encrypted {
  const kid = keyRing.current;
  const iv = random(ivBytes);
  const cipher = createCipheriv(algorithm, jobKey(keyRing, kid, place), iv, { authTagLength: tagBytes });
  cipher.setAAD(bound(place));
  const data = Buffer.concat([cipher.update(clear, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return { kid, iv: iv.toString("base64"), data };
}

/** @throws PayloadError `PAYLOAD_KEY_UNKNOWN`, `PAYLOAD_SEAL_BROKEN`; nothing of the data is in either. */
export function decrypt(place: Place, { kid, iv, data }: Encrypted, keyRing: KeyRing | undefined): string {
  if (keyRing?.find(kid) === undefined) {
    const known = keyRing === undefined ? "this process has no key ring" : `known: ${keyRing.ids.join(", ")}`;
    throw new PayloadError("PAYLOAD_KEY_UNKNOWN", `${describePlace(place)} is encrypted under key "${kid}"; ${known}`, {
      details: { keyId: kid },
    });
  }
  try {
    const decipher = createDecipheriv(algorithm, jobKey(keyRing, kid, place), Buffer.from(iv, "base64"), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(bound(place));
    decipher.setAuthTag(data.subarray(-tagBytes));
    return Buffer.concat([decipher.update(data.subarray(0, -tagBytes)), decipher.final()]).toString("utf8");
  } catch (cause) {
    throw new PayloadError(
      "PAYLOAD_SEAL_BROKEN",
      `${describePlace(place)} does not open with key "${kid}": it was changed, belongs to another job, or the key differs`,
      { details: { keyId: kid }, cause },
    );
  }
}

export function describePlace({ jobId, name, column }: Place): string {
  return `the ${column} of job ${jobId} (${name})`;
}

function jobKey(keyRing: KeyRing, kid: string, { jobId }: Place): Buffer {
  const key = keyRing.find(kid) ?? new Uint8Array();
  return Buffer.from(hkdfSync("sha256", key, jobId.toLowerCase(), "warren payload key 1", 32));
}

function bound({ jobId, name, column }: Place): Buffer {
  // unambiguous whatever the names hold
  return Buffer.from(JSON.stringify(["warren payload 1", jobId.toLowerCase(), name, column]));
}
