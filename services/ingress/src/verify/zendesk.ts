import { describingHeader, headerOf, repeated } from "./header.ts";
import { parseJson, textMember } from "./json.ts";
import { contentKey, keyOf } from "./signature.ts";
import { judgeSignature, type SignatureHeader } from "./signed.ts";
import { defaultToleranceMs, judgeInstant } from "./timestamp.ts";
import { rejected, type Verify } from "./verdict.ts";

const signature: SignatureHeader = {
  header: "x-zendesk-webhook-signature",
  prefix: "",
  algorithm: "sha256",
  encoding: "base64",
};

/**
 * Zendesk: HMAC-SHA256 in base64 of `timestamp + body`, the time as RFC 3339. Zendesk's own events have an `id`; what triggers and
 * automations send is what somebody wrote into them, so those are known by the invocation (which is not signed), else by time and bytes.
 * Source: https://developer.zendesk.com/documentation/webhooks/verifying/
 */
export const verifyZendesk: Verify = (request, secrets, nowMs) => {
  const { rawHeaders, body } = request;
  const timestamp = headerOf(rawHeaders, "x-zendesk-webhook-signature-timestamp");
  if (timestamp === repeated) return rejected("header_repeated");
  if (timestamp === undefined) return rejected("timestamp_missing");
  const untimely = judgeInstant(timestamp, defaultToleranceMs, nowMs);
  if (untimely !== undefined) return untimely;
  const refusal = judgeSignature(request, secrets, nowMs, signature, [timestamp, body]);
  if (refusal !== undefined) return refusal;

  const parsed = parseJson(body);
  const type = textMember(parsed, "type");
  const own = type?.startsWith("zen:event-type:") === true;
  const eventId = own ? textMember(parsed, "id") : describingHeader(rawHeaders, "x-zendesk-webhook-invocation-id");
  const dedupeKey = eventId === undefined ? contentKey(Buffer.concat([Buffer.from(timestamp), body])) : keyOf(eventId);
  return { kind: "verified", dedupeKey, eventId, eventType: own ? type : undefined, parsed };
};
