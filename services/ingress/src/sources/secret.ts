/** The readers throw a `RangeError` whose message never holds the secret. */

export function textKey(text: string): Buffer {
  return filled(Buffer.from(text, "utf8"));
}

export function hexKey(text: string): Buffer {
  if (!/^(?:[0-9a-f]{2})*$/i.test(text)) throw new RangeError("is not hexadecimal");
  return filled(Buffer.from(text, "hex"));
}

export function base64Key(text: string): Buffer {
  const bytes = Buffer.from(text, "base64");
  // Node skips what is not base64, which would quietly make another, weaker key
  if (bytes.toString("base64").replace(/=+$/, "") !== text.replace(/=+$/, "")) throw new RangeError("is not base64");
  return filled(bytes);
}

/** An empty key would make a signature that everybody can compute. */
function filled(bytes: Buffer): Buffer {
  if (bytes.length === 0) throw new RangeError("is empty");
  return bytes;
}
