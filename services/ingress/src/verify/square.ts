import { z } from "zod";
import { parseJson, textMember } from "./json.ts";
import { publicUrlOption } from "./query.ts";
import { judgeSignature, type SignatureHeader, verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

export const squareOptions = z.strictObject({
  /** The subscription's notification URL, exactly as it stands in Square's dashboard. */
  publicUrl: publicUrlOption,
});

const signature: SignatureHeader = {
  header: "x-square-hmacsha256-signature",
  prefix: "",
  algorithm: "sha256",
  encoding: "base64",
};

/**
 * Square: HMAC-SHA256 in base64 of notification URL and body. The older SHA-1 header is never looked at.
 * Source: https://developer.squareup.com/docs/webhooks/step3validate
 */
export function squareVerifier({ publicUrl }: z.infer<typeof squareOptions>): Verify {
  const address = Buffer.from(publicUrl, "utf8");
  return (request, secrets, nowMs) => {
    const { body } = request;
    const refusal = judgeSignature(request, secrets, nowMs, signature, [address, body]);
    if (refusal !== undefined) return refusal;
    const parsed = parseJson(body);
    return verified(body, { id: textMember(parsed, "event_id"), type: textMember(parsed, "type"), parsed });
  };
}
