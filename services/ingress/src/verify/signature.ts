import { createHmac, hash, type KeyObject, timingSafeEqual } from "node:crypto";
import { isCurrent, type Secret } from "./verdict.ts";

export type HmacAlgorithm = "sha1" | "sha256" | "sha384" | "sha512";
export type SignatureEncoding = "hex" | "base64" | "base64url";

/** The parts of the signed content, in order. */
export type SignedContent = readonly (string | Buffer)[];

/** More signatures than any provider sends in one header; what comes after them is not looked at. */
export const maxSignatures = 16;

export type SignatureMatch = "match" | "mismatch" | "no-current-secret";

export interface HmacCheck {
  readonly algorithm: HmacAlgorithm;
  readonly encoding: SignatureEncoding;
  readonly content: SignedContent;
  /** What the request claims, as sent. Every one is tried with every current secret. */
  readonly signatures: readonly string[];
  readonly secrets: readonly Secret[];
  readonly nowMs: number;
}

/**
 * Compares as encoded text, so that only the one canonical spelling passes: decoding would forgive case, padding, stray characters
 * and spare bits, and a signature with a flipped bit must not be good. The time depends on lengths only.
 */
export function matchHmac(check: HmacCheck): SignatureMatch {
  let judged = false;
  let matched = false;
  for (const secret of check.secrets) {
    if (!isCurrent(secret, check.nowMs)) continue;
    judged = true;
    const expected = Buffer.from(hmac(check.algorithm, secret.key, check.content, check.encoding), "latin1");
    for (const signature of check.signatures) {
      if (equalText(expected, signature)) matched = true;
    }
  }
  if (!judged) return "no-current-secret";
  return matched ? "match" : "mismatch";
}

/**
 * Compares a token that is sent as it is with every current secret. Both sides are hashed first: the time tells nothing, not even the
 * secret's length.
 */
export function matchToken(token: string, secrets: readonly Secret[], nowMs: number): SignatureMatch {
  let judged = false;
  let matched = false;
  const sent = hash("sha256", Buffer.from(token, "latin1"), "buffer");
  for (const secret of secrets) {
    if (!isCurrent(secret, nowMs)) continue;
    judged = true;
    if (timingSafeEqual(hash("sha256", secret.key.export(), "buffer"), sent)) matched = true;
  }
  if (!judged) return "no-current-secret";
  return matched ? "match" : "mismatch";
}

export function hmac(
  algorithm: HmacAlgorithm,
  key: KeyObject,
  content: SignedContent,
  encoding: SignatureEncoding,
): string {
  const mac = createHmac(algorithm, key);
  for (const part of content) {
    // header text is latin1 in Node: this gives back the bytes that were sent
    if (typeof part === "string") mac.update(part, "latin1");
    else mac.update(part);
  }
  return mac.digest(encoding);
}

/** Constant-time for equal lengths; the length of a signature is no secret. */
function equalText(expected: Buffer, candidate: string): boolean {
  if (candidate.length !== expected.length) return false;
  return timingSafeEqual(expected, Buffer.from(candidate, "latin1"));
}

/** The dedupe key of an event that carries no id: the same bytes are the same event. */
export function contentKey(body: Buffer): string {
  return `sha256:${hash("sha256", body, "hex")}`;
}

/** Longest id taken as it is; a longer one is known by its hash. */
const maxKeyLength = 200;

/** An id as a dedupe key of bounded length that every database can hold: no U+0000, no half of a surrogate pair. */
export function keyOf(id: string): string {
  const plain = id.length <= maxKeyLength && id.isWellFormed() && !id.includes("\u0000");
  return plain ? id : `sha256:${hash("sha256", JSON.stringify(id), "hex")}`;
}
