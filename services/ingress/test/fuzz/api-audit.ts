import type { createDescriptionCheck } from "../description.ts";
import type { ApiInput } from "./api-inputs.ts";
import type { Finding } from "./audit.ts";

export interface Reply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** What may be put off: the machine is asked for more than it has. */
const putOff: ReadonlySet<string> = new Set(["REQUEST_SEARCH_TIMEOUT", "ROUTE_TRANSFORM_OVERLOADED"]);

/** A failure of ours, whatever was said to us. */
export function failureIn(status: number, code: string | undefined): readonly Finding[] {
  if (status < 500 || putOff.has(code ?? "")) return [];
  return [{ rule: "no failure of ours", what: `${status} ${code ?? ""}` }];
}

/** What an answer to a whole call must not be. Pure. */
export function auditCall(
  { operation: { method, path }, isItsPath, key, headers, body }: Extract<ApiInput, { readonly kind: "call" }>,
  reply: Reply,
  check: Pick<ReturnType<typeof createDescriptionCheck>, "judge">,
): readonly Finding[] {
  const { status, contentType } = reply;
  const found = [...failureIn(status, /"code":"([A-Z_]+)"/.exec(reply.body)?.[1])];
  if (path === "/api/v1/openapi.json") return found;
  if (key === "none" && status < 400) found.push({ rule: "no call without a key", what: String(status) });
  if (key === "read" && method !== "get" && status < 400)
    found.push({ rule: "a key opens no more than its scopes", what: String(status) });
  if (!isItsPath) return found;
  const isJson = headers["content-type"] === "application/json";
  const sent = isJson && status < 300 && body !== undefined ? (JSON.parse(body.toString()) as unknown) : undefined;
  const url = path.replaceAll(/\{(\w+)\}/g, ":$1");
  const said = check.judge({ method, url, status, contentType, body: reply.body, sent });
  return said === undefined ? found : [...found, { rule: "answers are as described", what: said }];
}
