import { z } from "zod";
import { eventDescriber } from "./event-values.ts";
import { headerOf, repeated } from "./header.ts";
import { eventOptions, headerName } from "./options.ts";
import { parameterOf } from "./query.ts";
import { matchToken } from "./signature.ts";
import { refusalOf } from "./signed.ts";
import { type Refusal, rejected, type Secret, type Verify, type WebhookRequest } from "./verdict.ts";

/** The credentials of an `Authorization` header of this scheme (in lower case, with its blank). */
function credentialsOf({ rawHeaders }: WebhookRequest, scheme: "basic " | "bearer "): string | Refusal {
  const value = headerOf(rawHeaders, "authorization");
  if (value === undefined) return rejected("signature_missing");
  if (value === repeated) return rejected("header_repeated");
  if (value.slice(0, scheme.length).toLowerCase() !== scheme) return rejected("signature_malformed");
  return value.slice(scheme.length);
}

/**
 * Judges HTTP Basic credentials; `undefined`: they are those of a current secret, which is `user:password` as text.
 * Source: https://www.rfc-editor.org/rfc/rfc7617
 */
export function judgeBasic(request: WebhookRequest, secrets: readonly Secret[], nowMs: number): Refusal | undefined {
  const sent = credentialsOf(request, "basic ");
  if (typeof sent !== "string") return sent;
  const decoded = Buffer.from(sent, "base64");
  // Node forgives what is not base64; only the one canonical spelling passes
  if (decoded.toString("base64") !== sent) return rejected("signature_malformed");
  return refusalOf(matchToken(decoded.toString("latin1"), secrets, nowMs));
}

export const credentialsOptions = z.strictObject(eventOptions);

type CredentialsOptions = z.infer<typeof credentialsOptions>;

/** HTTP Basic: proves the sender, not the body. */
export function basicVerifier(options: CredentialsOptions): Verify {
  const describe = eventDescriber(options);
  return (request, secrets, nowMs) => judgeBasic(request, secrets, nowMs) ?? { kind: "verified", ...describe(request) };
}

/** `Authorization: Bearer <secret>` (RFC 6750): proves the sender, not the body. */
export function bearerVerifier(options: CredentialsOptions): Verify {
  const describe = eventDescriber(options);
  return (request, secrets, nowMs) => {
    const sent = credentialsOf(request, "bearer ");
    if (typeof sent !== "string") return sent;
    return refusalOf(matchToken(sent, secrets, nowMs)) ?? { kind: "verified", ...describe(request) };
  };
}

export const apiKeyOptions = z
  .strictObject({
    header: headerName.optional(),
    /** The name of a query parameter. Addresses end up in logs of proxies: prefer a header. */
    query: z.string().min(1).max(100).optional(),
    ...eventOptions,
  })
  .refine((from) => (from.header === undefined) !== (from.query === undefined), "give either header or query");

/** A key in a header or a query parameter: proves the sender, not the body. */
export function apiKeyVerifier(options: z.infer<typeof apiKeyOptions>): Verify {
  const describe = eventDescriber(options);
  const header = options.header?.toLowerCase();
  const query = options.query ?? "";
  return (request, secrets, nowMs) => {
    const sent = header === undefined ? parameterOf(request.url, query) : headerOf(request.rawHeaders, header);
    if (sent === undefined) return rejected("signature_missing");
    if (sent === repeated) return rejected("header_repeated");
    return refusalOf(matchToken(sent, secrets, nowMs)) ?? { kind: "verified", ...describe(request) };
  };
}
