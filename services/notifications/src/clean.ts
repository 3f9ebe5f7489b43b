/**
 * What data may not bring into a mail: control characters (a line break in a subject or an address would start a new header,
 * in a text a line that looks like ours) and the marks that reverse the reading direction.
 */
const hazardous = /[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]+/gu;

/** The value on one line: hazardous characters become one space each run. */
export function oneLine(value: string): string {
  return value.replace(hazardous, " ").trim();
}

/** `value` with `oneLine` applied to every string in it. The value is plain data (parsed by a schema). */
export function cleanData(value: unknown): unknown {
  if (typeof value === "string") {
    return oneLine(value);
  }
  if (Array.isArray(value)) {
    return value.map(cleanData);
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, cleanData(entry)]));
  }
  return value;
}
