import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";

/** The readers throw a `RangeError` whose message never holds the secret. */

export function textKey(text: string): KeyObject {
  return filled(Buffer.from(text, "utf8"));
}

export function hexKey(text: string): KeyObject {
  if (!/^(?:[0-9a-f]{2})*$/i.test(text)) throw new RangeError("is not hexadecimal");
  return filled(Buffer.from(text, "hex"));
}

export function base64Key(text: string): KeyObject {
  const bytes = Buffer.from(text, "base64");
  // Node skips what is not base64, which would quietly make another, weaker key
  if (bytes.toString("base64").replace(/=+$/, "") !== text.replace(/=+$/, "")) throw new RangeError("is not base64");
  return filled(bytes);
}

/** The signing secret of Standard Webhooks: `whsec_` and base64, or the base64 alone. */
export function standardKey(text: string): KeyObject {
  return base64Key(text.startsWith("whsec_") ? text.slice("whsec_".length) : text);
}

/** GitLab's secret token, or its signing token. */
export function gitlabKey({ scheme }: { readonly scheme: "token" | "signature" }, text: string): KeyObject {
  if (scheme === "signature") return standardKey(text);
  if (text.startsWith("whsec_")) throw new RangeError('is a signing token: set options.scheme to "signature"');
  return textKey(text);
}

/** Telegram's secret token: 1 to 256 letters, digits, `_` and `-`. */
export function telegramKey(text: string): KeyObject {
  if (!/^[A-Za-z0-9_-]{0,256}$/.test(text)) throw new RangeError("is not 1 to 256 letters, digits, _ and -");
  return textKey(text);
}

/** A public key of Ed25519 as 32 bytes in hexadecimal. */
export function ed25519Key(text: string): KeyObject {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new RangeError("is not a public key of 64 hexadecimal digits");
  const x = Buffer.from(text, "hex").toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

/** An empty key would make a signature that everybody can compute. */
function filled(bytes: Buffer): KeyObject {
  if (bytes.length === 0) throw new RangeError("is empty");
  return createSecretKey(bytes);
}
