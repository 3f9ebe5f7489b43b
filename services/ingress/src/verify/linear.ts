import { describingHeader } from "./header.ts";
import { member, parseJson, textMember } from "./json.ts";
import { judgeSignature, type SignatureHeader, verified } from "./signed.ts";
import { judgeTimestamp } from "./timestamp.ts";
import { rejected, type Verify } from "./verdict.ts";

const signature: SignatureHeader = { header: "linear-signature", prefix: "", algorithm: "sha256", encoding: "hex" };

/**
 * Linear: HMAC-SHA256 of the body, which holds the time of sending in milliseconds. `Linear-Delivery` is not signed.
 * Source: https://linear.app/developers/webhooks#securing-webhooks
 */
export function linearVerifier({ toleranceSeconds }: { readonly toleranceSeconds: number }): Verify {
  return (request, secrets, nowMs) => {
    const refusal = judgeSignature(request, secrets, nowMs, signature);
    if (refusal !== undefined) return refusal;

    const parsed = parseJson(request.body);
    const sentAt = member(parsed, "webhookTimestamp");
    if (sentAt === undefined) return rejected("timestamp_missing");
    if (typeof sentAt !== "number") return rejected("timestamp_malformed");
    const untimely = judgeTimestamp(String(sentAt), 1, toleranceSeconds * 1000, nowMs);
    if (untimely !== undefined) return untimely;
    const name = textMember(parsed, "type");
    const action = textMember(parsed, "action");
    return verified(request.body, {
      id: describingHeader(request.rawHeaders, "linear-delivery"),
      type: name === undefined || action === undefined ? name : `${name}.${action}`,
      parsed,
    });
  };
}
