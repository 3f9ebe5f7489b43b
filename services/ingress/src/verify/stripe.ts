import { headerOf, repeated } from "./header.ts";
import { parseJson, textMember } from "./json.ts";
import { keyOf, matchHmac, maxSignatures } from "./signature.ts";
import { defaultToleranceMs, judgeTimestamp } from "./timestamp.ts";
import { rejected, unavailable, type Verify } from "./verdict.ts";

/**
 * Stripe: `t=<seconds>,v1=<hex>[,v1=<hex>…]`, HMAC-SHA256 of `t.body` under the whole `whsec_…` text. The test scheme `v0` is never
 * looked at. Source: https://docs.stripe.com/webhooks#verify-manually
 */
export const verifyStripe: Verify = ({ rawHeaders, body }, secrets, nowMs) => {
  const header = headerOf(rawHeaders, "stripe-signature");
  if (header === undefined) return rejected("signature_missing");
  if (header === repeated) return rejected("header_repeated");

  let timestamp: string | undefined;
  const signatures: string[] = [];
  for (const item of header.split(",")) {
    if (item.startsWith("v1=")) {
      if (signatures.length < maxSignatures) signatures.push(item.slice(3));
    } else if (item.startsWith("t=")) {
      if (timestamp !== undefined) return rejected("signature_malformed");
      timestamp = item.slice(2);
    }
  }
  if (timestamp === undefined) return rejected("timestamp_missing");
  if (signatures.length === 0) return rejected("signature_missing");
  const untimely = judgeTimestamp(timestamp, 1000, defaultToleranceMs, nowMs);
  if (untimely !== undefined) return untimely;

  const content = [timestamp, ".", body];
  const match = matchHmac({ algorithm: "sha256", encoding: "hex", content, signatures, secrets, nowMs });
  if (match === "no-current-secret") return unavailable;
  if (match === "mismatch") return rejected("signature_mismatch");

  const parsed = parseJson(body);
  const id = textMember(parsed, "id");
  const type = textMember(parsed, "type");
  if (id === undefined || type === undefined) return rejected("body_malformed");
  return { kind: "verified", dedupeKey: keyOf(id), eventId: id, eventType: type, parsed };
};
