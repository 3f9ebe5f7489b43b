import { hash, timingSafeEqual } from "node:crypto";
import { parseApiKey } from "@warren/contracts";

/** Whose key it is. */
export interface KeyHolder {
  /** The key's name; of one without a name, the first eight hexadecimal digits of its SHA-256. */
  readonly key: string;
  readonly scopes: readonly string[];
}

/** Answers whose key an `Authorization` header carries; `undefined`: none that is known. */
export type CheckKey = (authorization: string | undefined) => KeyHolder | undefined;

const scheme = /^bearer +([\x21-\x7e]+)$/i;

/**
 * Compares hashes with every key: the time tells neither which key was near, nor how long the keys are.
 * @param entries as in WARREN_API_KEYS. @throws TypeError for one that `parseApiKey` refuses.
 */
export function keyCheck(entries: readonly string[]): CheckKey {
  const holders = entries.map((entry) => {
    const parsed = parseApiKey(entry);
    if (parsed === undefined) throw new TypeError("an entry of the API keys is neither a key nor name:scopes:key");
    const digest = hash("sha256", parsed.key, "buffer");
    return { digest, holder: { key: parsed.name ?? digest.toString("hex", 0, 4), scopes: parsed.scopes } };
  });
  return (authorization) => {
    const [, token] = scheme.exec(authorization ?? "") ?? [];
    if (token === undefined) return undefined;
    const sent = hash("sha256", token, "buffer");
    let known: KeyHolder | undefined;
    for (const { digest, holder } of holders) if (timingSafeEqual(digest, sent)) known = holder;
    return known;
  };
}
