import { describingHeader } from "./header.ts";
import { judgeSignature, type SignatureHeader, verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

const signature: SignatureHeader = {
  header: "x-hub-signature-256",
  prefix: "sha256=",
  algorithm: "sha256",
  encoding: "hex",
};

/**
 * GitHub: HMAC-SHA256 of the body. The older SHA-1 header is never looked at, so nobody can downgrade to it.
 * Delivery id and event name are not signed: that is GitHub's protocol.
 * Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 */
export const verifyGithub: Verify = (request, secrets, nowMs) => {
  const refusal = judgeSignature(request, secrets, nowMs, signature);
  if (refusal !== undefined) return refusal;
  return verified(request.body, {
    id: describingHeader(request.rawHeaders, "x-github-delivery"),
    type: describingHeader(request.rawHeaders, "x-github-event"),
  });
};
