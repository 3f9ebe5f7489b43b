import { Buffer } from "node:buffer";

export type RequestBody =
  | { readonly kind: "json"; readonly value: unknown }
  | { readonly kind: "form"; readonly fields: Readonly<Record<string, string | number | boolean | undefined>> }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly contentType: string };

/** Writes a body to the wire: once per call, so that every attempt sends the same bytes. */
export function encodeBody(body: RequestBody): { readonly bytes: Uint8Array; readonly contentType: string } {
  switch (body.kind) {
    case "json":
      return { bytes: Buffer.from(JSON.stringify(body.value)), contentType: "application/json" };
    case "form": {
      const fields = new URLSearchParams();
      for (const [name, value] of Object.entries(body.fields)) {
        if (value !== undefined) fields.append(name, String(value));
      }
      return { bytes: Buffer.from(fields.toString()), contentType: "application/x-www-form-urlencoded" };
    }
    case "bytes":
      return { bytes: body.bytes, contentType: body.contentType };
    default:
      return body satisfies never;
  }
}

/** A body longer than allowed. */
export class BodyTooLarge extends Error {
  override readonly name = "BodyTooLarge";
}

/**
 * Reads a body up to `maxBytes`, whatever the headers claim.
 * @throws BodyTooLarge beyond it; leaving the loop destroys the stream, and with it the connection.
 */
export async function readBody(stream: AsyncIterable<unknown>, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError("expected bytes");
    size += chunk.byteLength;
    if (size > maxBytes) throw new BodyTooLarge(`the body is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** JSON as a value, anything else as text, nothing as `undefined`. */
export function looseBody(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
