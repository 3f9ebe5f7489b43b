import { parseJson, textMember } from "./json.ts";
import { judgeFields, type SignatureFields, verified } from "./signed.ts";
import { defaultToleranceMs } from "./timestamp.ts";
import type { Verify } from "./verdict.ts";

const fields: SignatureFields = {
  header: "stripe-signature",
  separator: ",",
  time: "t=",
  signature: "v1=",
  glue: ".",
};

/**
 * Stripe: `t=<seconds>,v1=<hex>[,v1=<hex>…]`, HMAC-SHA256 of `t.body` under the whole `whsec_…` text. The test scheme `v0` is never
 * looked at. Source: https://docs.stripe.com/webhooks#verify-manually
 */
export const verifyStripe: Verify = (request, secrets, nowMs) => {
  const refusal = judgeFields(request, secrets, nowMs, fields, defaultToleranceMs);
  if (refusal !== undefined) return refusal;

  const parsed = parseJson(request.body);
  return verified(request.body, { id: textMember(parsed, "id"), type: textMember(parsed, "type"), parsed });
};
