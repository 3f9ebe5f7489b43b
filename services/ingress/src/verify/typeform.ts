import { parseJson, textMember } from "./json.ts";
import { judgeSignature, type SignatureHeader, verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

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
  const [id, type] = [textMember(parsed, "event_id"), textMember(parsed, "event_type")];
  return verified(request.body, { id, type, parsed });
};
