import { type HeaderValue, headerOf, repeated } from "./header.ts";
import { parseJson, textMember } from "./json.ts";
import { keyOf, matchHmac, maxSignatures } from "./signature.ts";
import { defaultToleranceMs, judgeTimestamp } from "./timestamp.ts";
import { rejected, unavailable, type Verify } from "./verdict.ts";

/**
 * Standard Webhooks and Svix: `webhook-id`, `webhook-timestamp` and `webhook-signature` (or all three as `svix-*`), HMAC-SHA256 in
 * base64 of `id.timestamp.body`. Several signatures are separated by blanks; other versions than `v1` are not looked at.
 * Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export const verifyStandardWebhooks: Verify = ({ rawHeaders, body }, secrets, nowMs) => {
  let id: HeaderValue = headerOf(rawHeaders, "webhook-id");
  let timestamp: HeaderValue = headerOf(rawHeaders, "webhook-timestamp");
  let header: HeaderValue = headerOf(rawHeaders, "webhook-signature");
  if (id === undefined && timestamp === undefined && header === undefined) {
    id = headerOf(rawHeaders, "svix-id");
    timestamp = headerOf(rawHeaders, "svix-timestamp");
    header = headerOf(rawHeaders, "svix-signature");
  }
  if (id === repeated || timestamp === repeated || header === repeated) return rejected("header_repeated");
  if (header === undefined || id === undefined || id === "") return rejected("signature_missing");
  if (timestamp === undefined) return rejected("timestamp_missing");

  const signatures: string[] = [];
  for (const item of header.split(" ")) {
    if (item.startsWith("v1,") && signatures.length < maxSignatures) signatures.push(item.slice(3));
  }
  if (signatures.length === 0) return rejected("signature_malformed");
  const untimely = judgeTimestamp(timestamp, 1000, defaultToleranceMs, nowMs);
  if (untimely !== undefined) return untimely;

  const content = [id, ".", timestamp, ".", body];
  const match = matchHmac({ algorithm: "sha256", encoding: "base64", content, signatures, secrets, nowMs });
  if (match === "no-current-secret") return unavailable;
  if (match === "mismatch") return rejected("signature_mismatch");

  // the specification leaves the payload free; `type` is its recommendation
  const parsed = parseJson(body);
  return { kind: "verified", dedupeKey: keyOf(id), eventId: id, eventType: textMember(parsed, "type"), parsed };
};
