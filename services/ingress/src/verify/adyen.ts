import { batchKey, commonType } from "./batch.ts";
import { member, parseJson, textMember } from "./json.ts";
import { matchHmac } from "./signature.ts";
import { judgeSignature, refusalOf, type SignatureHeader, verified } from "./signed.ts";
import { type Refusal, rejected, type Secret, type Verify } from "./verdict.ts";

/** More items than Adyen puts into one notification; a longer list is refused. */
const maxItems = 100;

/**
 * Adyen's payment webhooks: each item carries its own HMAC-SHA256 in base64, under the hexadecimal key decoded, of eight of its
 * fields with colons between. **Only those are proven** (references, account, amount, event, success): take the rest for a hint.
 * Every item must be good. Adyen sends an event again with the same reference, code and success; older integrations want to read
 * `[accepted]`, newer ones any 2xx.
 * Source: https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures
 */
export const verifyAdyen: Verify = ({ body }, secrets, nowMs) => {
  const parsed = parseJson(body);
  const list = member(parsed, "notificationItems");
  if (!Array.isArray(list) || list.length === 0 || list.length > maxItems) return rejected("signature_missing");
  const keys: string[] = [];
  const types: (string | undefined)[] = [];
  for (const entry of list as readonly unknown[]) {
    const item = member(entry, "NotificationRequestItem");
    const refusal = judgeItem(item, secrets, nowMs);
    if (refusal !== undefined) return refusal;
    keys.push(`${fieldOf(item, "pspReference")}:${fieldOf(item, "eventCode")}:${fieldOf(item, "success")}`);
    types.push(textMember(item, "eventCode"));
  }
  return { kind: "verified", dedupeKey: batchKey(keys), eventId: undefined, eventType: commonType(types), parsed };
};

function judgeItem(item: unknown, secrets: readonly Secret[], nowMs: number): Refusal | undefined {
  const signature = textMember(member(item, "additionalData"), "hmacSignature");
  if (signature === undefined) return rejected("signature_missing");
  const amount = member(item, "amount");
  const signed = [
    fieldOf(item, "pspReference"),
    fieldOf(item, "originalReference"),
    fieldOf(item, "merchantAccountCode"),
    fieldOf(item, "merchantReference"),
    fieldOf(amount, "value"),
    fieldOf(amount, "currency"),
    fieldOf(item, "eventCode"),
    fieldOf(item, "success"),
  ];
  const content = [Buffer.from(signed.join(":"), "utf8")];
  const match = matchHmac({
    algorithm: "sha256",
    encoding: "base64",
    content,
    signatures: [signature],
    secrets,
    nowMs,
  });
  return refusalOf(match);
}

/** A field as it is signed: an absent one as nothing. */
function fieldOf(value: unknown, name: string): string {
  const found = member(value, name);
  return typeof found === "string"
    ? found
    : typeof found === "number" || typeof found === "boolean"
      ? String(found)
      : "";
}

const platformSignature: SignatureHeader = {
  header: "hmacsignature",
  prefix: "",
  algorithm: "sha256",
  encoding: "base64",
};

/**
 * Adyen's platform, management and transfer webhooks: HMAC-SHA256 in base64 of the body, under the hexadecimal key decoded. The
 * `protocol` header beside it only repeats the algorithm and is not looked at. The body holds the time of the event, so the same
 * bytes are the same event. Source: as above.
 */
export const verifyAdyenPlatform: Verify = (request, secrets, nowMs) => {
  const refusal = judgeSignature(request, secrets, nowMs, platformSignature);
  if (refusal !== undefined) return refusal;
  const parsed = parseJson(request.body);
  const eventType = textMember(parsed, "type");
  return verified(request.body, { id: undefined, type: eventType, parsed });
};
