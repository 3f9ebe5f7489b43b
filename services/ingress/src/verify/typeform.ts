import { parseJson, textMember } from "./json.ts";
import { keyOf } from "./signature.ts";
import { judgeSignature, type SignatureHeader } from "./signed.ts";
import { rejected, type Verify } from "./verdict.ts";

const signature: SignatureHeader = {
  header: "typeform-signature",
  prefix: "sha256=",
  algorithm: "sha256",
  encoding: "base64",
};

/**
 * Typeform: HMAC-SHA256 in base64 of the body.
 * Source: https://www.typeform.com/developers/webhooks/secure-your-webhooks/
 */
export const verifyTypeform: Verify = (request, secrets, nowMs) => {
  const refusal = judgeSignature(request, secrets, nowMs, signature);
  if (refusal !== undefined) return refusal;
  const parsed = parseJson(request.body);
  const eventId = textMember(parsed, "event_id");
  if (eventId === undefined) return rejected("body_malformed");
  return { kind: "verified", dedupeKey: keyOf(eventId), eventId, eventType: textMember(parsed, "event_type"), parsed };
};
