import { z } from "zod";
import { batchKey, commonType } from "./batch.ts";
import { headerOf, repeated } from "./header.ts";
import { parseJson, textMember } from "./json.ts";
import { judgePublicKeySignature } from "./public-key-signature.ts";
import { contentKey } from "./signature.ts";
import { judgeTimestamp, toleranceOf } from "./timestamp.ts";
import { rejected, type Verify } from "./verdict.ts";

export const sendgridOptions = z.strictObject({
  /** How old a batch may be. Default: the 24 hours that SendGrid goes on sending, and five minutes. */
  toleranceSeconds: z.number().positive().max(604_800).default(86_700),
});

/**
 * SendGrid's Event Webhook: ECDSA on P-256 with SHA-256 over `timestamp + body`, in DER as base64. The body is signed as sent, with
 * the CR LF at its end. A request carries several events; each has its own `sg_event_id`, by which handlers must know it.
 * Source: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
 */
export function sendgridVerifier({ toleranceSeconds }: z.infer<typeof sendgridOptions>): Verify {
  const tolerance = toleranceOf(toleranceSeconds);
  return ({ rawHeaders, body }, secrets, nowMs) => {
    const signature = headerOf(rawHeaders, "x-twilio-email-event-webhook-signature");
    const timestamp = headerOf(rawHeaders, "x-twilio-email-event-webhook-timestamp");
    if (signature === repeated || timestamp === repeated) return rejected("header_repeated");
    if (signature === undefined) return rejected("signature_missing");
    if (timestamp === undefined) return rejected("timestamp_missing");
    const untimely = judgeTimestamp(timestamp, 1000, tolerance, nowMs);
    if (untimely !== undefined) return untimely;
    const content = Buffer.concat([Buffer.from(timestamp, "latin1"), body]);
    const refusal = judgePublicKeySignature("sha256", content, signature, secrets, nowMs);
    if (refusal !== undefined) return refusal;

    const parsed = parseJson(body);
    const events: readonly unknown[] = Array.isArray(parsed) ? parsed : [];
    const ids = events.map((event) => textMember(event, "sg_event_id"));
    const whole = ids.length > 0 && ids.every((id) => id !== undefined);
    return {
      kind: "verified",
      dedupeKey: whole ? batchKey(ids) : contentKey(body),
      eventId: ids.length === 1 ? ids[0] : undefined,
      eventType: commonType(events.map((event) => textMember(event, "event"))),
      parsed,
    };
  };
}
