import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { repeated } from "./header.ts";
import { parseJson, textMember } from "./json.ts";
import { echoOf, parameterOf } from "./query.ts";
import { judgeSignature, type SignatureHeader, verified } from "./signed.ts";
import { answer, rejected, type Verdict, type Verify } from "./verdict.ts";

export const metaOptions = z.strictObject({
  /** The verify token as given in the app's dashboard. It guards the subscription alone; events are proven by the app secret. */
  verifyToken: z.string().min(1).max(500),
});

const signature: SignatureHeader = {
  header: "x-hub-signature-256",
  prefix: "sha256=",
  algorithm: "sha256",
  encoding: "hex",
};

/**
 * Meta (Facebook, Instagram, Messenger, WhatsApp): HMAC-SHA256 in hexadecimal of the body as sent, with its escaped Unicode, under
 * the app secret; the SHA-1 header is never looked at. A subscription begins with a GET that names our verify token and wants its
 * challenge back. Events have no id: the same bytes are the same event.
 * Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started
 */
export function metaVerifier({ verifyToken }: z.infer<typeof metaOptions>): Verify {
  const expected = createHash("sha256").update(verifyToken).digest();
  return (request, secrets, nowMs) => {
    if (request.method === "GET") return subscription(request.url, expected);
    const refusal = judgeSignature(request, secrets, nowMs, signature);
    if (refusal !== undefined) return refusal;
    const parsed = parseJson(request.body);
    const eventType = textMember(parsed, "object");
    return verified(request.body, { id: undefined, type: eventType, parsed });
  };
}

function subscription(url: string, expected: Buffer): Verdict {
  const token = parameterOf(url, "hub.verify_token");
  if (token === repeated) return rejected("signature_malformed");
  if (token === undefined) return rejected("signature_missing");
  // both sides hashed: the time tells nothing of the token
  const sent = createHash("sha256").update(token, "latin1").digest();
  if (!timingSafeEqual(sent, expected)) return rejected("signature_mismatch");
  const challenge = echoOf(url, "hub.challenge");
  if (parameterOf(url, "hub.mode") !== "subscribe" || challenge === undefined) return rejected("body_malformed");
  return { kind: "challenge", answer: answer(200, "text/plain", challenge), eventType: "subscribe" };
}
