import { crc32 } from "node:zlib";
import { z } from "zod";
import { headerOf, repeated } from "./header.ts";
import { parseJson, textMember } from "./json.ts";
import { isUrlOf, judgePublicKeySignature } from "./public-key-signature.ts";
import { verified } from "./signed.ts";
import { judgeInstant, toleranceOf } from "./timestamp.ts";
import { rejected, type Verify } from "./verdict.ts";

export const paypalOptions = z.strictObject({
  /** The webhook's id in PayPal's developer portal; it is signed, but not sent. */
  webhookId: z.string().regex(/^[A-Za-z0-9-]{1,100}$/, "expected the webhook's id, such as 1JE4291016473214C"),
  /** How old a transmission may be. Default: the three days that PayPal goes on sending, and five minutes. */
  toleranceSeconds: z.number().positive().max(604_800).default(259_500),
});

const certificateHost = /^(?:[a-z0-9-]+\.)*paypal\.com$/;
const certificatePath = /^\/v1\/notifications\/certs\/[A-Za-z0-9_-]+$/;

/**
 * PayPal, offline: RSA with SHA-256 over `transmission id|time|webhook id|CRC-32 of the body`, judged with the certificates that are
 * configured as secrets. The certificate's address in the request must be PayPal's, and is never fetched; the certificate's own
 * dates are not looked at, `notAfter` of the secret is. A CRC keeps no forger away who holds a valid transmission: he can make
 * another body with the same sum. Before money moves, ask PayPal's API.
 * Source: https://developer.paypal.com/api/rest/webhooks/rest/#link-selfverificationmethod
 */
export function paypalVerifier({ webhookId, toleranceSeconds }: z.infer<typeof paypalOptions>): Verify {
  const tolerance = toleranceOf(toleranceSeconds);
  return ({ rawHeaders, body }, secrets, nowMs) => {
    const id = headerOf(rawHeaders, "paypal-transmission-id");
    const time = headerOf(rawHeaders, "paypal-transmission-time");
    const signature = headerOf(rawHeaders, "paypal-transmission-sig");
    const certificate = headerOf(rawHeaders, "paypal-cert-url");
    const algorithm = headerOf(rawHeaders, "paypal-auth-algo");
    if ([id, time, signature, certificate, algorithm].includes(repeated)) return rejected("header_repeated");
    if (typeof signature !== "string" || typeof id !== "string") return rejected("signature_missing");
    if (typeof time !== "string") return rejected("timestamp_missing");
    if (algorithm !== "SHA256withRSA" || typeof certificate !== "string") return rejected("signature_malformed");
    // a separator inside the id would let parts of the signed text change places
    if (id === "" || id.includes("|")) return rejected("signature_malformed");
    if (!isUrlOf(certificate, certificateHost, certificatePath)) return rejected("signature_malformed");
    const untimely = judgeInstant(time, tolerance, nowMs);
    if (untimely !== undefined) return untimely;
    const content = Buffer.from(`${id}|${time}|${webhookId}|${crc32(body)}`, "latin1");
    const refusal = judgePublicKeySignature("sha256", content, signature, secrets, nowMs);
    if (refusal !== undefined) return refusal;

    const parsed = parseJson(body);
    return verified(body, { id: textMember(parsed, "id"), type: textMember(parsed, "event_type"), parsed });
  };
}
