import { z } from "zod";
import { type HeaderValue, repeated } from "./header.ts";

/** The query of a request's address with its question mark, as received; empty when there is none. */
function queryOf(url: string): string {
  const at = url.indexOf("?");
  return at === -1 ? "" : url.slice(at);
}

/** A query parameter that must stand alone, decoded, as Node gives header text: one character a byte. */
export function parameterOf(url: string, name: string): HeaderValue {
  const query = queryOf(url);
  if (query === "") return undefined;
  const [value, ...others] = new URLSearchParams(query).getAll(name);
  if (others.length > 0) return repeated;
  return value === undefined ? undefined : Buffer.from(value, "utf8").toString("latin1");
}

/**
 * The address as the provider knows it, for signatures that cover it. Never told from the request: behind proxies the request does
 * not know it, and a forger would choose it.
 */
export const publicUrlOption = z
  .string()
  .max(2000)
  .refine(
    (text) => /^https?:\/\//.test(text) && URL.canParse(text) && !/[#\s]/.test(text),
    'expected the whole address as it is configured at the provider, such as "https://hooks.example.com/webhooks/shop"',
  );

/** `publicUrl` with the query that the request came with. */
export function publicUrlOf(publicUrl: string, requestUrl: string): string {
  return `${publicUrl.split("?", 1)[0] ?? ""}${queryOf(requestUrl)}`;
}

/** The parameter of a challenge, if it is a text that is safe to send back: nothing that a browser could take for markup. */
export function echoOf(url: string, name: string): string | undefined {
  const value = parameterOf(url, name);
  return typeof value === "string" && /^[\w.~-]{1,512}$/.test(value) ? value : undefined;
}
