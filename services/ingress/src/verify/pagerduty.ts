import { headerOf, repeated } from "./header.ts";
import { member, parseJson, textMember } from "./json.ts";
import { matchHmac, maxSignatures } from "./signature.ts";
import { refusalOf, verified } from "./signed.ts";
import { rejected, type Verify } from "./verdict.ts";

/**
 * PagerDuty (v3 webhooks): `v1=<hex>[,v1=<hex>…]`, HMAC-SHA256 of the body, one signature a secret; every one is tried, other
 * versions are not looked at. Source: https://developer.pagerduty.com/docs/verifying-signatures
 */
export const verifyPagerduty: Verify = ({ rawHeaders, body }, secrets, nowMs) => {
  const header = headerOf(rawHeaders, "x-pagerduty-signature");
  if (header === undefined) return rejected("signature_missing");
  if (header === repeated) return rejected("header_repeated");
  const signatures: string[] = [];
  for (const item of header.split(",")) {
    if (item.startsWith("v1=") && signatures.length < maxSignatures) signatures.push(item.slice(3));
  }
  if (signatures.length === 0) return rejected("signature_malformed");
  const match = matchHmac({ algorithm: "sha256", encoding: "hex", content: [body], signatures, secrets, nowMs });
  const refusal = refusalOf(match);
  if (refusal !== undefined) return refusal;

  const parsed = parseJson(body);
  const event = member(parsed, "event");
  return verified(body, { id: textMember(event, "id"), type: textMember(event, "event_type"), parsed });
};
