import { parseJson, textMember } from "./json.ts";
import { judgeFields, type SignatureFields, verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

const fields: SignatureFields = {
  header: "calendly-webhook-signature",
  separator: ",",
  time: "t=",
  signature: "v1=",
  glue: ".",
};

/**
 * Calendly: `t=<seconds>,v1=<hex>`, HMAC-SHA256 of `t.body` under the subscription's signing key. Events have no id: a repetition has
 * the same bytes. Source: https://developer.calendly.com/api-docs/overview/webhooks/webhook-signatures
 */
export function calendlyVerifier({ toleranceSeconds }: { readonly toleranceSeconds: number }): Verify {
  return (request, secrets, nowMs) => {
    const refusal = judgeFields(request, secrets, nowMs, fields, toleranceSeconds * 1000);
    if (refusal !== undefined) return refusal;
    const parsed = parseJson(request.body);
    return verified(request.body, { id: undefined, type: textMember(parsed, "event"), parsed });
  };
}
