import { contentKey, keyOf } from "./signature.ts";

/** The dedupe key of a request that carries several events, from the keys of each: the same events in the same order are the same. */
export function batchKey(keys: readonly string[]): string {
  const [only, ...others] = keys;
  if (only !== undefined && others.length === 0) return keyOf(only);
  return contentKey(Buffer.from(JSON.stringify(keys), "utf8"));
}

/** The type that all events of a request share; `undefined` when they differ. */
export function commonType(types: readonly (string | undefined)[]): string | undefined {
  const [first] = types;
  return types.every((type) => type === first) ? first : undefined;
}
