import { parseJson } from "./json.ts";
import { echoOf } from "./query.ts";
import { contentKey } from "./signature.ts";
import { judgeSignature, type SignatureHeader } from "./signed.ts";
import { answer, rejected, type Verify } from "./verdict.ts";

const signature: SignatureHeader = { header: "x-dropbox-signature", prefix: "", algorithm: "sha256", encoding: "hex" };

/**
 * Dropbox: HMAC-SHA256 in hexadecimal of the body under the app secret. A webhook begins with an unsigned GET whose challenge is to
 * be sent back. A notification only names accounts in which something changed: the next one reads the same, byte for byte. So each
 * delivery is an event of its own; done twice, it only lists the same changes again.
 * Source: https://www.dropbox.com/developers/reference/webhooks
 */
export const verifyDropbox: Verify = (request, secrets, nowMs) => {
  if (request.method === "GET") {
    const challenge = echoOf(request.url, "challenge");
    if (challenge === undefined) return rejected("body_malformed");
    return { kind: "challenge", answer: answer(200, "text/plain", challenge), eventType: "challenge" };
  }
  const refusal = judgeSignature(request, secrets, nowMs, signature);
  if (refusal !== undefined) return refusal;
  return {
    kind: "verified",
    dedupeKey: `${nowMs}:${contentKey(request.body)}`,
    eventId: undefined,
    eventType: undefined,
    parsed: parseJson(request.body),
  };
};
