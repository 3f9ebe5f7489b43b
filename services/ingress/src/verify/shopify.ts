import { describingHeader } from "./header.ts";
import { judgeSignature, type SignatureHeader, verified } from "./signed.ts";
import type { Verify } from "./verdict.ts";

const signature: SignatureHeader = {
  header: "x-shopify-hmac-sha256",
  prefix: "",
  algorithm: "sha256",
  encoding: "base64",
};

/**
 * Shopify: HMAC-SHA256 of the body in base64 under the app's client secret (or the shop's signing secret). Known by
 * `X-Shopify-Webhook-Id`: `X-Shopify-Event-Id` is shared by all topics of one action of the merchant. Neither is signed.
 * Source: https://shopify.dev/docs/apps/build/webhooks/subscribe/https
 */
export const verifyShopify: Verify = (request, secrets, nowMs) => {
  const refusal = judgeSignature(request, secrets, nowMs, signature);
  if (refusal !== undefined) return refusal;
  return verified(request.body, {
    id: describingHeader(request.rawHeaders, "x-shopify-webhook-id"),
    type: describingHeader(request.rawHeaders, "x-shopify-topic"),
  });
};
