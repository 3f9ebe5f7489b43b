import { describingHeader, headerOf, repeated } from "./header.ts";
import { contentKey, keyOf, matchHmac } from "./signature.ts";
import { rejected, unavailable, type Verify } from "./verdict.ts";

const prefix = "sha256=";

/**
 * GitHub: HMAC-SHA256 of the body. The older SHA-1 header is never looked at, so nobody can downgrade to it.
 * Delivery id and event name are not signed: that is GitHub's protocol.
 * Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 */
export const verifyGithub: Verify = ({ rawHeaders, body }, secrets, nowMs) => {
  const header = headerOf(rawHeaders, "x-hub-signature-256");
  if (header === undefined) return rejected("signature_missing");
  if (header === repeated) return rejected("header_repeated");
  if (!header.startsWith(prefix) || header.length !== prefix.length + 64) return rejected("signature_malformed");

  const signatures = [header.slice(prefix.length)];
  const match = matchHmac({ algorithm: "sha256", encoding: "hex", content: [body], signatures, secrets, nowMs });
  if (match === "no-current-secret") return unavailable;
  if (match === "mismatch") return rejected("signature_mismatch");

  const delivery = describingHeader(rawHeaders, "x-github-delivery");
  return {
    kind: "verified",
    dedupeKey: delivery === undefined ? contentKey(body) : keyOf(delivery),
    eventId: delivery,
    eventType: describingHeader(rawHeaders, "x-github-event"),
  };
};
