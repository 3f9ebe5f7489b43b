import { z } from "zod";
import { member, parseJson, textMember } from "./json.ts";
import { publicUrlOption } from "./query.ts";
import { judgeSignature, type SignatureHeader, verified } from "./signed.ts";
import { answer, type Verify } from "./verdict.ts";

export const trelloOptions = z.strictObject({
  /** The webhook's callbackURL, exactly as it was given to Trello. */
  publicUrl: publicUrlOption,
});

const signature: SignatureHeader = { header: "x-trello-webhook", prefix: "", algorithm: "sha1", encoding: "base64" };

/**
 * Trello: HMAC-SHA1 in base64 of body and callback URL, under the app's secret; it has no other algorithm. When a webhook is made,
 * Trello asks with an unsigned HEAD whether somebody is there, and wants 200.
 * Source: https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/#webhook-signatures
 */
export function trelloVerifier({ publicUrl }: z.infer<typeof trelloOptions>): Verify {
  const address = Buffer.from(publicUrl, "utf8");
  return (request, secrets, nowMs) => {
    const { body } = request;
    if (request.method === "HEAD") return { kind: "challenge", answer: answer(200), eventType: "HEAD" };
    const refusal = judgeSignature(request, secrets, nowMs, signature, [body, address]);
    if (refusal !== undefined) return refusal;
    const parsed = parseJson(body);
    const action = member(parsed, "action");
    return verified(body, { id: textMember(action, "id"), type: textMember(action, "type"), parsed });
  };
}
