import { parseJson, textMember } from "./json.ts";
import { judgeFields, type SignatureFields, verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

const fields: SignatureFields = {
  header: "paddle-signature",
  separator: ";",
  time: "ts=",
  signature: "h1=",
  glue: ":",
};

/**
 * Paddle Billing: `ts=<seconds>;h1=<hex>[;h1=<hex>…]`, HMAC-SHA256 of `ts:body` under the whole `pdl_ntfset_…` text. All `h1` are
 * tried: there are two while a secret rotates. Paddle's SDKs allow five seconds; a repetition is a duplicate here, so a wider
 * tolerance costs nothing. Source: https://developer.paddle.com/webhooks/signature-verification
 */
export function paddleVerifier({ toleranceSeconds }: { readonly toleranceSeconds: number }): Verify {
  return (request, secrets, nowMs) => {
    const refusal = judgeFields(request, secrets, nowMs, fields, toleranceSeconds * 1000);
    if (refusal !== undefined) return refusal;
    const parsed = parseJson(request.body);
    return verified(request.body, {
      id: textMember(parsed, "event_id"),
      type: textMember(parsed, "event_type"),
      parsed,
    });
  };
}
