import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { batchKey, commonType } from "./batch.ts";
import { headerOf, repeated } from "./header.ts";
import { member, parseJson, textMember } from "./json.ts";
import { publicUrlOf, publicUrlOption } from "./query.ts";
import { contentKey, matchHmac } from "./signature.ts";
import { refusalOf } from "./signed.ts";
import { defaultToleranceMs, judgeTimestamp } from "./timestamp.ts";
import { isCurrent, type Refusal, rejected, type Secret, type Verify, type WebhookRequest } from "./verdict.ts";

export const hubspotOptions = z.strictObject({
  /** The address as HubSpot knows it; its query, if any, is taken from the request. */
  publicUrl: publicUrlOption,
  /**
   * The version of the signature. Only this one is looked at: HubSpot sends the older ones too, and they cover less. Default `v3`;
   * `v1` proves the body alone, and neither `v1` nor `v2` knows a time or is an HMAC.
   */
  version: z.enum(["v3", "v2", "v1"]).default("v3"),
});

/**
 * HubSpot: v3 is HMAC-SHA256 in base64 of `method + address + body + time`, v2 SHA-256 in hexadecimal of `secret + method + address
 * + body`, v1 of `secret + body`. Of the address certain percent-encodings are decoded before signing; it is tried so and as sent.
 * A body is a list of events; HubSpot sends the whole list again with another `attemptNumber`, which is therefore no part of the key.
 * Source: https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
 */
export function hubspotVerifier({ publicUrl, version }: z.infer<typeof hubspotOptions>): Verify {
  return (request, secrets, nowMs) => {
    const address = publicUrlOf(publicUrl, request.url);
    const refusal =
      version === "v3"
        ? judgeV3(request, address, secrets, nowMs)
        : judgeHash(version, request, address, secrets, nowMs);
    if (refusal !== undefined) return refusal;

    const parsed = parseJson(request.body);
    const events: readonly unknown[] = Array.isArray(parsed) ? parsed : [];
    const keys = events.map(keyOfEvent);
    const whole = keys.length > 0 && keys.every((key) => key !== undefined);
    return {
      kind: "verified",
      dedupeKey: whole ? batchKey(keys) : contentKey(request.body),
      eventId: undefined,
      eventType: commonType(events.map((event) => textMember(event, "subscriptionType"))),
      parsed,
    };
  };
}

/** An `eventId` may come again for another subscription or time; all together are one event. */
function keyOfEvent(event: unknown): string | undefined {
  const parts = ["portalId", "subscriptionId", "eventId", "objectId", "occurredAt"].map((name) => member(event, name));
  return parts[2] === undefined ? undefined : parts.map(String).join(":");
}

function judgeV3(
  { method, rawHeaders, body }: WebhookRequest,
  address: string,
  secrets: readonly Secret[],
  nowMs: number,
): Refusal | undefined {
  const signature = headerOf(rawHeaders, "x-hubspot-signature-v3");
  const time = headerOf(rawHeaders, "x-hubspot-request-timestamp");
  if (signature === repeated || time === repeated) return rejected("header_repeated");
  if (signature === undefined) return rejected("signature_missing");
  if (time === undefined) return rejected("timestamp_missing");
  if (signature.length !== 44) return rejected("signature_malformed");
  const untimely = judgeTimestamp(time, 1, defaultToleranceMs, nowMs);
  if (untimely !== undefined) return untimely;
  const decoded = decodedAddress(address);
  let refusal = refusalOf("mismatch");
  for (const spelling of decoded === address ? [address] : [decoded, address]) {
    const content = [method, spelling, body, time];
    const match = matchHmac({
      algorithm: "sha256",
      encoding: "base64",
      content,
      signatures: [signature],
      secrets,
      nowMs,
    });
    if (match !== "mismatch") refusal = refusalOf(match);
  }
  return refusal;
}

function judgeHash(
  version: "v1" | "v2",
  { method, rawHeaders, body }: WebhookRequest,
  address: string,
  secrets: readonly Secret[],
  nowMs: number,
): Refusal | undefined {
  const signature = headerOf(rawHeaders, "x-hubspot-signature");
  if (signature === undefined) return rejected("signature_missing");
  if (signature === repeated) return rejected("header_repeated");
  if (signature.length !== 64) return rejected("signature_malformed");
  const sent = Buffer.from(signature, "latin1");
  let judged = false;
  let matched = false;
  for (const secret of secrets) {
    if (!isCurrent(secret, nowMs)) continue;
    judged = true;
    const digest = createHash("sha256").update(secret.key.export());
    if (version === "v2") digest.update(method).update(address, "latin1");
    if (timingSafeEqual(Buffer.from(digest.update(body).digest("hex"), "latin1"), sent)) matched = true;
  }
  return refusalOf(judged ? (matched ? "match" : "mismatch") : "no-current-secret");
}

const encoded = /%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi;

/** The address with the percent-encodings decoded that HubSpot's page lists. */
function decodedAddress(address: string): string {
  return address.replace(encoded, (code) => String.fromCharCode(Number.parseInt(code.slice(1), 16)));
}
