import { member, parseJson, textMember } from "./json.ts";
import { hmac } from "./signature.ts";
import { judgeSignature, type SignatureHeader, timestampOf, verified } from "./signed.ts";
import { jsonAnswer, rejected, type Verify } from "./verdict.ts";

const signature: SignatureHeader = { header: "x-zm-signature", prefix: "v0=", algorithm: "sha256", encoding: "hex" };

/**
 * Zoom: HMAC-SHA256 of `v0:timestamp:body` under the app's secret token. `endpoint.url_validation`, when the endpoint is saved and
 * every 72 hours, wants its `plainToken` back with its HMAC under the same secret. Events have no id: a repetition has the same bytes.
 * Source: https://developers.zoom.us/docs/api/webhooks/
 */
export function zoomVerifier({ toleranceSeconds }: { readonly toleranceSeconds: number }): Verify {
  return (request, secrets, nowMs) => {
    const time = timestampOf(request.rawHeaders, "x-zm-request-timestamp", toleranceSeconds * 1000, nowMs);
    if (typeof time !== "string") return time;
    const content = ["v0:", time, ":", request.body];
    const refusal = judgeSignature(request, secrets, nowMs, signature, content);
    if (refusal !== undefined) return refusal;

    const parsed = parseJson(request.body);
    const type = textMember(parsed, "event");
    if (type !== "endpoint.url_validation") return verified(request.body, { id: undefined, type, parsed });
    const plainToken = textMember(member(parsed, "payload"), "plainToken");
    // while secrets rotate, Zoom expects the one that it signed with
    const signer = secrets.find((secret) => judgeSignature(request, [secret], nowMs, signature, content) === undefined);
    if (plainToken === undefined || signer === undefined) return rejected("body_malformed");
    const encryptedToken = hmac("sha256", signer.key, [Buffer.from(plainToken, "utf8")], "hex");
    return { kind: "challenge", answer: jsonAnswer({ plainToken, encryptedToken }), eventType: type };
  };
}
