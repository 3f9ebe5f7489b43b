/** A header that stands in the request more than once, where one only makes sense. */
export const repeated: unique symbol = Symbol("repeated header");

export type HeaderValue = string | undefined | typeof repeated;

/**
 * The value of a header that must stand alone. Looks at the raw headers, because Node joins or drops repeated ones, and either
 * would let a forger add a second signature. `name` is lower case.
 */
export function headerOf(rawHeaders: readonly string[], name: string): HeaderValue {
  let found: string | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const candidate = rawHeaders[at];
    if (candidate === undefined || candidate.length !== name.length) continue;
    if (candidate !== name && candidate.toLowerCase() !== name) continue;
    if (found !== undefined) return repeated;
    found = rawHeaders[at + 1] ?? "";
  }
  return found;
}

/** A header that only describes the event: absent, empty and repeated are all "not said". */
export function describingHeader(rawHeaders: readonly string[], name: string): string | undefined {
  const value = headerOf(rawHeaders, name);
  return typeof value === "string" && value !== "" ? value : undefined;
}
