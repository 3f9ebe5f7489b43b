import { z } from "zod";
import { fieldOf, parseForm, plainFields } from "./form.ts";
import { member, parseJson, textMember } from "./json.ts";
import { keyOf, matchHmac } from "./signature.ts";
import { refusalOf } from "./signed.ts";
import { judgeTimestamp, toleranceOf } from "./timestamp.ts";
import { rejected, type Verify } from "./verdict.ts";

export const mailgunOptions = z.strictObject({
  /**
   * How old a signature may be. Default: 12 hours, longer than Mailgun goes on sending. It need not be short, because a token is
   * good once: it is the event's dedupe key.
   */
  toleranceSeconds: z.number().positive().max(604_800).default(43_200),
});

interface MailgunSignature {
  readonly timestamp: string;
  readonly token: string;
  readonly signatures: readonly string[];
  readonly eventId: string | undefined;
  readonly eventType: string | undefined;
  readonly parsed: unknown;
}

/**
 * Mailgun: the signature stands in the body, HMAC-SHA256 in hexadecimal of `timestamp + token`. It does **not** cover the event:
 * whoever got hold of one signature could have sent another body with it, once. Take the content for a hint and ask Mailgun.
 * Of an account's subaccount, the parent's signature is tried too. JSON and form bodies; multipart (inbound mail with attachments)
 * is not taken. Source: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
 */
export function mailgunVerifier({ toleranceSeconds }: z.infer<typeof mailgunOptions>): Verify {
  const tolerance = toleranceOf(toleranceSeconds);
  return ({ body }, secrets, nowMs) => {
    const sent = fromJson(body) ?? fromForm(body);
    if (sent === undefined) return rejected("signature_missing");
    const { timestamp, token, signatures } = sent;
    const untimely = judgeTimestamp(timestamp, 1000, tolerance, nowMs);
    if (untimely !== undefined) return untimely;
    const content = [timestamp, Buffer.from(token, "utf8")];
    const match = matchHmac({ algorithm: "sha256", encoding: "hex", content, signatures, secrets, nowMs });
    const { eventId, eventType, parsed } = sent;
    return refusalOf(match) ?? { kind: "verified", dedupeKey: keyOf(token), eventId, eventType, parsed };
  };
}

function fromJson(body: Buffer): MailgunSignature | undefined {
  const parsed = parseJson(body);
  const part = member(parsed, "signature");
  const stamp = member(part, "timestamp");
  const timestamp = typeof stamp === "number" ? String(stamp) : stamp;
  const token = textMember(part, "token");
  if (typeof timestamp !== "string" || token === undefined) return undefined;
  const signatures = [textMember(part, "signature"), textMember(part, "parent-signature")];
  const data = member(parsed, "event-data");
  return {
    timestamp,
    token,
    signatures: signatures.filter((signature) => signature !== undefined),
    eventId: textMember(data, "id"),
    eventType: textMember(data, "event"),
    parsed,
  };
}

function fromForm(body: Buffer): MailgunSignature | undefined {
  const fields = parseForm(body);
  const timestamp = fieldOf(fields, "timestamp");
  const token = fieldOf(fields, "token");
  const signature = fieldOf(fields, "signature");
  if (timestamp === undefined || token === undefined || signature === undefined) return undefined;
  return {
    timestamp,
    token,
    signatures: [signature],
    eventId: undefined,
    eventType: fieldOf(fields, "event"),
    parsed: plainFields(fields),
  };
}
