/** What the management API's calls are divided into. Replays and events belong to `requests`; what providers there are, to `sources`. */
const apiAreas = ["sources", "requests", "rules", "endpoints", "deliveries"] as const;
const verbs = ["read", "write"] as const;

/** What one call needs. */
export type ApiScope = `${(typeof apiAreas)[number]}.${(typeof verbs)[number]}`;

/** Every scope that a call may need. */
export const apiScopes: readonly ApiScope[] = apiAreas.flatMap((area) =>
  verbs.map((verb) => `${area}.${verb}` as const),
);

/** One key of the management API. */
export interface ApiKey {
  /** Who has it, for logs and records. `undefined`: a key alone. */
  readonly name: string | undefined;
  /** What it opens: `sources.read`, `*.read` (to look at all), `sources.write` (which may also look), `*` (everything). */
  readonly scopes: readonly string[];
  readonly key: string;
}

const form = /^(?:(?<name>[a-z0-9][a-z0-9_-]{0,62}):(?<scopes>[a-z.*+]+):)?(?<key>[\x21-\x7e]{24,})$/;
const grants: ReadonlySet<string> = new Set(["*", "*.read", "*.write", ...apiScopes]);

/**
 * One entry of WARREN_API_KEYS: a key of at least 24 printable characters that opens everything, or `name:scopes:key` with `+` between
 * scopes. `undefined`: neither; a key alone holds no colon, so that a slip in the longer form is no key.
 */
export function parseApiKey(entry: string): ApiKey | undefined {
  const { name, scopes, key = "" } = form.exec(entry)?.groups ?? {};
  if (key === "" || (name === undefined && key.includes(":"))) return undefined;
  const granted = scopes?.split("+") ?? ["*"];
  return granted.every((scope) => grants.has(scope)) ? { name, scopes: granted, key } : undefined;
}

/** Whether these scopes of a key open what needs that one. */
export function opens(scopes: readonly string[], needed: ApiScope): boolean {
  const [area, verb] = needed.split(".");
  const write = [`${area}.write`, "*.write", "*"];
  const enough = verb === "write" ? write : [...write, needed, "*.read"];
  return scopes.some((scope) => enough.includes(scope));
}
