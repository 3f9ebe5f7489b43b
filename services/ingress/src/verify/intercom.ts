import { parseJson, textMember } from "./json.ts";
import { judgeSignature, type SignatureHeader, verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

const signature: SignatureHeader = { header: "x-hub-signature", prefix: "sha1=", algorithm: "sha1", encoding: "hex" };

/**
 * Intercom: HMAC-SHA1 of the body under the app's client secret; Intercom offers nothing stronger. A `ping` has no id.
 * Source: https://developers.intercom.com/docs/webhooks/setting-up-webhooks#signed-notifications
 */
export const verifyIntercom: Verify = (request, secrets, nowMs) => {
  const refusal = judgeSignature(request, secrets, nowMs, signature);
  if (refusal !== undefined) return refusal;
  const parsed = parseJson(request.body);
  return verified(request.body, { id: textMember(parsed, "id"), type: textMember(parsed, "topic"), parsed });
};
