/** Parses a body that claims to be JSON; `undefined` when it is not. */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8")) as unknown;
  } catch {
    return undefined;
  }
}

/** A member of a parsed object; `undefined` for anything else. */
export function member(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.hasOwn(value, name) ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** A member that is a string with something in it. */
export function textMember(value: unknown, name: string): string | undefined {
  const found = member(value, name);
  return typeof found === "string" && found !== "" ? found : undefined;
}

/** The value at a JSON Pointer (RFC 6901), as text when it is a string or a number. */
export function textAt(value: unknown, pointer: readonly string[]): string | undefined {
  let at = value;
  for (const step of pointer) {
    at = Array.isArray(at) ? (at as readonly unknown[])[/^\d{1,9}$/.test(step) ? Number(step) : -1] : member(at, step);
  }
  if (typeof at === "number") return String(at);
  return typeof at === "string" && at !== "" ? at : undefined;
}

export function parsePointer(pointer: string): readonly string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}
