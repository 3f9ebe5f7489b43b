/** Stands in the place of what must not be logged. */
export const redacted = "[redacted]";

/** Deeper than this, a value is cut off: logs are for people. */
const maxDepth = 6;

/**
 * Names whose values are never logged, at any depth and in any spelling (`rawBody`, `raw_body`, `raw-body`): payloads (they hold
 * other people's data), and whatever lets somebody in or proves who somebody is.
 */
const forbiddenNames = new Set([
  "apikey",
  "authorization",
  "body",
  "connectionstring",
  "cookie",
  "credentials",
  "data",
  "databaseurl",
  "amqpurl",
  "passphrase",
  "password",
  "payload",
  "privatekey",
  "proxyauthorization",
  "rawbody",
  "rawheaders",
  "setcookie",
  "signature",
  "smtpurl",
  "xapikey",
  "xtelegrambotapisecrettoken",
  "xtrellowebhook",
]);

const forbiddenParts = /secret|signature|password|passwd|token|credential|privatekey|apikey|hmac|sig$/;

/** Parameters of addresses that let somebody in, beside the names above: `?key=` of Trello, `?code=` of OAuth, `?auth=`. */
const forbiddenParameters = new Set(["auth", "code", "key", "pass", "pwd", "sign"]);

// every repetition is bounded, so that no text takes more than linear time
const urlCredentials = /([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/@]{0,256}:[^\s@]{0,512}@/gi;
const bearer = /\b(bearer|basic)\s{1,8}[a-z0-9._~+/=-]{8,}/gi;
const parameter = /([?&;])([^\s?&;=#"'<>]{1,64})=[^\s&;#"'<>]+/g;
/** Secrets that tell by their start what they are, wherever they stand. */
const knownSecrets =
  /\b(whsec_|pdl_ntfset_|(?:sk|rk)_(?:live|test)_|gh[opsu]_|github_pat_|glpat-|xox[abeprs]-|SG\.|bot\d{6,}:)[A-Za-z0-9+/=_.-]{8,}/g;

/**
 * Takes secrets out of a text: user names and passwords in addresses, values of parameters whose name says that they are secret, tokens of
 * `Authorization` values, and secrets that are known by their start. Takes time linear in its length.
 */
export function scrub(text: string): string {
  return text
    .replace(urlCredentials, `$1${redacted}@`)
    .replace(bearer, `$1 ${redacted}`)
    .replace(parameter, (whole: string, before: string, name: string) =>
      isForbiddenParameter(name) ? `${before}${name}=${redacted}` : whole,
    )
    .replace(knownSecrets, `$1${redacted}`);
}

function isForbiddenParameter(name: string): boolean {
  const plain = plainName(name);
  return forbiddenNames.has(plain) || forbiddenParts.test(plain) || forbiddenParameters.has(plain);
}

function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]/g, "");
}

/** Whether a value under this name must not be logged. */
function isForbidden(name: string, extra: ReadonlySet<string>): boolean {
  const plain = plainName(name);
  return forbiddenNames.has(plain) || forbiddenParts.test(plain) || extra.has(name);
}

/** A plain, bounded copy of `value` without anything that must not be logged. Errors become {@link describeError}. */
export function redact(value: unknown, extra: ReadonlySet<string> = new Set(), depth = 0): unknown {
  if (typeof value === "string") return scrub(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error) return describeError(value, extra, depth);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= maxDepth) return Array.isArray(value) ? "[array]" : "[object]";
  if (Array.isArray(value)) return value.map((item) => redact(item, extra, depth + 1));
  if (!isPlain(value)) return `[${classOf(value)}]`;
  return redactFields(value, extra, depth);
}

/** Class instances (sockets, pools, requests) are named, not walked through. What has no constructor is of no class: Fastify's `params`. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || !("constructor" in value);
}

function classOf(value: object): string {
  const made: unknown = value.constructor;
  return typeof made === "function" && made.name !== "" ? made.name : "object";
}

/** {@link redact} for the fields of an object. */
export function redactFields(value: object, extra: ReadonlySet<string>, depth = 0): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(value)) {
    copy[name] = field !== undefined && isForbidden(name, extra) ? redacted : redact(field, extra, depth + 1);
  }
  return copy;
}

/** Fields of errors that are shown. A closed list: drivers hang rows, requests and whole connections on their errors. */
const shownErrorFields = ["code", "retryable", "details", "errno", "syscall", "address", "port", "constraint", "table"];

/** An error as it may be logged: type, message, stack, code and details, causes to a bounded depth. */
export function describeError(
  error: Error,
  extra: ReadonlySet<string> = new Set(),
  depth = 0,
): Record<string, unknown> {
  const description: Record<string, unknown> = {
    type: error.name === "Error" ? error.constructor.name : error.name,
    message: scrub(error.message),
  };
  for (const name of shownErrorFields) {
    const field: unknown = Reflect.get(error, name);
    if (field !== undefined) description[name] = redact(field, extra, depth + 1);
  }
  if (error.stack !== undefined) description["stack"] = scrub(error.stack);
  if (depth >= maxDepth) return description;
  if (error instanceof AggregateError) {
    description["errors"] = error.errors.slice(0, 5).map((inner) => redact(inner, extra, depth + 1));
  }
  if (error.cause !== undefined) description["cause"] = redact(error.cause, extra, depth + 1);
  return description;
}
