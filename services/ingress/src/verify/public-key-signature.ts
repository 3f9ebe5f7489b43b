import { verify } from "node:crypto";
import { refusalOf } from "./signed.ts";
import { isCurrent, type Refusal, rejected, type Secret } from "./verdict.ts";

/** Longer than the base64 of any signature of a key in use: RSA of 8192 bits makes 1368 characters. */
const maxSignatureLength = 1400;

/**
 * Judges a signature in base64 with every current public key: RSA with PKCS #1 v1.5, ECDSA in DER. `undefined`: it is good.
 * Only the canonical spelling of base64 passes.
 */
export function judgePublicKeySignature(
  digest: "sha256" | "sha1",
  content: Buffer,
  signature: string,
  secrets: readonly Secret[],
  nowMs: number,
): Refusal | undefined {
  if (signature === "" || signature.length > maxSignatureLength) return rejected("signature_malformed");
  const bytes = Buffer.from(signature, "base64");
  if (bytes.toString("base64") !== signature) return rejected("signature_malformed");
  let judged = false;
  let matched = false;
  for (const secret of secrets) {
    if (!isCurrent(secret, nowMs)) continue;
    judged = true;
    if (isGood(digest, content, bytes, secret)) matched = true;
  }
  return refusalOf(judged ? (matched ? "match" : "mismatch") : "no-current-secret");
}

function isGood(digest: string, content: Buffer, signature: Buffer, { key }: Secret): boolean {
  try {
    return verify(digest, content, key, signature);
  } catch {
    // OpenSSL reports some malformed signatures as an error
    return false;
  }
}

/** Whether an address that a request names is one of the provider's own: HTTPS, its host, its path. */
export function isUrlOf(text: string, host: RegExp, path: RegExp): boolean {
  if (text.length > 2000 || !URL.canParse(text)) return false;
  const url = new URL(text);
  const plain = url.protocol === "https:" && url.port === "" && url.username === "" && url.password === "";
  return plain && host.test(url.hostname) && path.test(url.pathname);
}
