import { headerOf, repeated } from "./header.ts";
import type { SignedContent } from "./signature.ts";
import type { WebhookRequest } from "./verdict.ts";

type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "body" }
  | { readonly kind: "timestamp" }
  | { readonly kind: "method" }
  | { readonly kind: "url" }
  | { readonly kind: "header"; readonly name: string };

const token = /\{(?<name>body|timestamp|method|url|header:[A-Za-z0-9-]+)\}/g;

/**
 * Reads a template of signed content such as `{timestamp}.{body}`. Tokens: `{body}`, `{timestamp}` (the timestamp header as sent),
 * `{method}`, `{url}` (path and query as received), `{header:x-name}`. Anything else stands for itself.
 */
export function parseTemplate(template: string): readonly Part[] {
  const parts: Part[] = [];
  let from = 0;
  for (const found of template.matchAll(token)) {
    if (found.index > from) parts.push({ kind: "text", text: template.slice(from, found.index) });
    parts.push(partOf(found.groups?.["name"] ?? ""));
    from = found.index + found[0].length;
  }
  if (from < template.length) parts.push({ kind: "text", text: template.slice(from) });
  return parts;
}

function partOf(name: string): Part {
  if (name === "body" || name === "timestamp" || name === "method" || name === "url") return { kind: name };
  return { kind: "header", name: name.slice("header:".length).toLowerCase() };
}

/** The signed content of a request; `undefined` when a header that is part of it came twice. */
export type ContentOf = (request: WebhookRequest, timestamp: string) => SignedContent | undefined;

export function compileTemplate(template: string): ContentOf {
  const parts = parseTemplate(template);
  return (request, timestamp) => {
    const content: (string | Buffer)[] = [];
    for (const part of parts) {
      if (part.kind === "text") content.push(Buffer.from(part.text, "utf8"));
      else if (part.kind === "body") content.push(request.body);
      else if (part.kind === "timestamp") content.push(timestamp);
      else if (part.kind === "method") content.push(request.method);
      else if (part.kind === "url") content.push(request.url);
      else {
        const value = headerOf(request.rawHeaders, part.name);
        if (value === repeated) return undefined;
        content.push(value ?? "");
      }
    }
    return content;
  };
}
