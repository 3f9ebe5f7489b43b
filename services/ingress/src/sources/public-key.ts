import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";

/** Readers of what providers publish to judge their signatures by. They throw a `RangeError`. */

/** An ECDSA key on P-256, as SendGrid shows it: base64 of its SubjectPublicKeyInfo. PEM is taken too. */
export function p256Key(text: string): KeyObject {
  const key = publicKey(text);
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw new RangeError("is not a public key on the curve P-256");
  }
  return key;
}

/** A certificate or public key for RSA of at least 2048 bits: PEM, or base64 of its DER on one line. */
export function rsaKey(text: string): KeyObject {
  const key = publicKey(text);
  if (key.asymmetricKeyType !== "rsa") throw new RangeError("is not a certificate or public key for RSA");
  if ((key.asymmetricKeyDetails?.modulusLength ?? 0) < 2048) throw new RangeError("has less than 2048 bits");
  return key;
}

function publicKey(text: string): KeyObject {
  if (text === "") throw new RangeError("is empty");
  if (text.includes("PRIVATE KEY"))
    throw new RangeError("is a private key: give the provider's certificate or public key");
  const bytes = Buffer.from(text, "base64");
  for (const read of [
    () => createPublicKey(text),
    () => createPublicKey({ key: bytes, format: "der", type: "spki" }),
    () => new X509Certificate(bytes).publicKey,
  ]) {
    try {
      return read();
    } catch {
      // the next form may fit; all that fail are told in one sentence below
    }
  }
  throw new RangeError("is neither a certificate nor a public key, in PEM or as base64 of its DER");
}
