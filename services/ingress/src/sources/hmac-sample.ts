import { parsePointer } from "../verify/json.ts";
import { hmacOptions, type ValueFrom } from "../verify/options.ts";
import { hmac } from "../verify/signature.ts";
import { compileTemplate } from "../verify/template.ts";
import type { SampleParts, Sampler } from "./sample-parts.ts";

interface Places {
  readonly eventId?: ValueFrom | undefined;
  readonly eventType?: ValueFrom | undefined;
}

/** JSON whose id and type stand where the source looks for them. */
export function placed(
  { eventId, eventType }: Places,
  { id, type, payload }: SampleParts,
): { readonly headers: Readonly<Record<string, string>>; readonly body: string } {
  const headers: Record<string, string> = { "content-type": "application/json" };
  let body: unknown = { ...payload, ...(eventId === undefined ? { id } : {}) };
  for (const [from, value] of [
    [eventId, id],
    [eventType, type],
  ] as const) {
    if (from?.header !== undefined) headers[from.header.toLowerCase()] = value;
    else if (from?.json !== undefined) body = withValueAt(body, parsePointer(from.json), value);
  }
  return { headers, body: JSON.stringify(body) };
}

/** The value with another one at a JSON Pointer; what is missing on the way is made. */
function withValueAt(value: unknown, pointer: readonly string[], put: string): unknown {
  const [step, ...rest] = pointer;
  if (step === undefined) return put;
  const at = typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  return { ...at, [step]: withValueAt(at[step], rest, put) };
}

/** Any HMAC, by the same options as its verifier. */
export function hmacSample(raw: unknown): Sampler {
  const options = hmacOptions.parse(raw);
  const contentOf = compileTemplate(options.content);
  return (parts) => {
    const { headers, body } = placed(options, parts);
    const { timestamp } = options;
    const time =
      timestamp === undefined ? "" : String(timestamp.unit === "ms" ? parts.nowMs : Math.floor(parts.nowMs / 1000));
    const sent = timestamp === undefined ? headers : { ...headers, [timestamp.header.toLowerCase()]: time };
    const request = {
      method: "POST",
      url: parts.path,
      rawHeaders: Object.entries(sent).flat(),
      body: Buffer.from(body, "utf8"),
      clientAddress: undefined,
      peerAddress: undefined,
    };
    const signature = hmac(options.algorithm, parts.key, contentOf(request, time) ?? [], options.encoding);
    return { headers: { ...sent, [options.header.toLowerCase()]: options.prefix + signature }, body };
  };
}
