import type { ProviderName } from "../sources/providers.ts";
import { fieldOf, parseForm, plainFields } from "../verify/form.ts";
import { describingHeader } from "../verify/header.ts";
import { parseJson } from "../verify/json.ts";

/** An authentic event, as routes see it. */
export interface WebhookEvent {
  /** Warren's id of the stored request. */
  readonly requestId: string;
  readonly source: string;
  readonly provider: ProviderName;
  readonly eventId: string | undefined;
  readonly eventType: string | undefined;
  /** What it is about, where the provider says so: an id of an object, a repository. */
  readonly eventSubject: string | undefined;
  readonly receivedAt: Date;
  /** The parsed body (JSON, or the fields of a form), `undefined` when it is neither. Parsed at most once, and only if somebody asks. */
  readonly payload: () => unknown;
  /** By lower-case name, several values joined with a comma; without those that carry credentials. */
  readonly headers: () => Readonly<Record<string, string>>;
  /** The parameters of the address; of a repeated one the list of its values. */
  readonly query: () => Readonly<Record<string, unknown>>;
}

export interface EventParts
  extends Pick<WebhookEvent, "requestId" | "source" | "provider" | "eventId" | "eventType" | "receivedAt"> {
  readonly eventSubject?: string | undefined;
  readonly url: string;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
  /** The body as its verifier has parsed it; `undefined`: it had no need to. */
  readonly parsed: unknown;
}

export function createEvent(parts: EventParts): WebhookEvent {
  const { requestId, source, provider, eventId, eventType, receivedAt, url, rawHeaders, body, parsed } = parts;
  return {
    requestId,
    source,
    provider,
    eventId,
    eventType,
    eventSubject: parts.eventSubject,
    receivedAt,
    payload: parsed === undefined ? once(() => parseBody(provider, body, rawHeaders)) : () => parsed,
    headers: once(() => headersOf(rawHeaders)),
    query: once(() => plainFields(parseForm(Buffer.from(url.includes("?") ? url.slice(url.indexOf("?") + 1) : "")))),
  };
}

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/** Providers whose forms carry their JSON in the field `payload`. */
const wrapsJson: ReadonlySet<string> = new Set(["slack", "github"] satisfies ProviderName[]);

function parseBody(provider: ProviderName, body: Buffer, rawHeaders: readonly string[]): unknown {
  const type = describingHeader(rawHeaders, "content-type") ?? "";
  if (!/^application\/x-www-form-urlencoded\b/i.test(type)) return parseJson(body);
  const fields = parseForm(body);
  const wrapped = wrapsJson.has(provider) ? fieldOf(fields, "payload") : undefined;
  return wrapped === undefined ? plainFields(fields) : parseJson(Buffer.from(wrapped));
}

/** What proves who somebody is has no place in jobs, events and deliveries. */
const credentials = new Set(["authorization", "proxy-authorization", "cookie", "x-api-key"]);

function headersOf(rawHeaders: readonly string[]): Readonly<Record<string, string>> {
  const headers = new Map<string, string>();
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? "").toLowerCase();
    const value = rawHeaders[at + 1] ?? "";
    const before = headers.get(name);
    if (!credentials.has(name)) headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return Object.fromEntries(headers);
}
