import { createHash } from "node:crypto";
import { apiKeyOptions, credentialsOptions } from "../verify/credentials.ts";
import { hubspotOptions } from "../verify/hubspot.ts";
import { twilioOptions } from "../verify/twilio.ts";
import { placed } from "./hmac-sample.ts";
import { basicAuthorization, jsonSample, mac, type Sampler, seconds, token, withOptions } from "./sample-parts.ts";

/** Samples of providers whose proof is more than an HMAC of the body in a header. */

/** The address without its query, as verifiers take it for a request without one. */
const addressOf = (publicUrl: string): string => publicUrl.split("?", 1)[0] ?? "";

const form = (fields: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  );

/** Adyen signs eight fields of an item. */
export const adyen: Sampler = (parts) => {
  const item = {
    pspReference: parts.id,
    originalReference: "",
    merchantAccountCode: "WarrenTest",
    merchantReference: "warren-test",
    amount: { value: 1000, currency: "EUR" },
    eventCode: parts.type,
    success: "true",
  };
  const { amount, ...fields } = item;
  const signed = [
    fields.pspReference,
    fields.originalReference,
    fields.merchantAccountCode,
    fields.merchantReference,
    amount.value,
    amount.currency,
    fields.eventCode,
    fields.success,
  ].join(":");
  const additionalData = { ...parts.payload, hmacSignature: mac("sha256", "base64", parts, [signed]) };
  const body = { live: "false", notificationItems: [{ NotificationRequestItem: { ...item, additionalData } }] };
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
};

export const mailgun = jsonSample(
  (parts) => {
    const { id, type, payload } = parts;
    const timestamp = seconds(parts);
    const token = createHash("sha256").update(id).digest("hex").slice(0, 50);
    const signature = { timestamp, token, signature: mac("sha256", "hex", parts, [timestamp + token]) };
    return { signature, "event-data": { id, event: type, ...payload } };
  },
  () => ({}),
);

export const hubspot = withOptions(hubspotOptions, ({ publicUrl, version }, parts) => {
  const { id, type, nowMs, payload } = parts;
  const event = { eventId: id, subscriptionType: type, portalId: 1, subscriptionId: 1, objectId: 1, ...payload };
  const body = JSON.stringify([{ ...event, occurredAt: nowMs, attemptNumber: 0 }]);
  const address = addressOf(publicUrl);
  const time = String(nowMs);
  const hash = (...content: readonly string[]) =>
    createHash("sha256").update(parts.key.export()).update(content.join("")).digest("hex");
  const headers =
    version === "v3"
      ? {
          "x-hubspot-request-timestamp": time,
          "x-hubspot-signature-v3": mac("sha256", "base64", parts, ["POST", address, body, time]),
        }
      : {
          "x-hubspot-signature": version === "v2" ? hash("POST", address, body) : hash(body),
        };
  return { headers: { "content-type": "application/json", ...headers }, body };
});

export const twilio = withOptions(twilioOptions, ({ publicUrl }, parts) => {
  const fields = form({ MessageSid: parts.id, MessageStatus: parts.type, ...parts.payload });
  const sorted = Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      "i-twilio-idempotency-token": parts.id,
      "x-twilio-signature": mac("sha1", "base64", parts, [addressOf(publicUrl), ...sorted.flat()]),
    },
    body: new URLSearchParams(fields).toString(),
  };
});

export const apiKey = withOptions(apiKeyOptions, (options, parts) => {
  const { headers, body } = placed(options, parts);
  if (options.header !== undefined) {
    const header = options.header.toLowerCase();
    return { headers: { ...headers, [header]: token(parts) }, body, bearsSecret: [header] };
  }
  const query = new URLSearchParams({ [options.query ?? ""]: parts.key.export().toString("utf8") });
  return { headers, body, url: `${parts.path}?${query.toString()}`, bearsSecret: ["url"] };
});

export const basic = withOptions(credentialsOptions, (options, parts) => {
  const { headers, body } = placed(options, parts);
  const authorization = basicAuthorization(parts);
  return { headers: { ...headers, authorization }, body, bearsSecret: ["authorization"] };
});

export const bearer = withOptions(credentialsOptions, (options, parts) => {
  const { headers, body } = placed(options, parts);
  return { headers: { ...headers, authorization: `Bearer ${token(parts)}` }, body, bearsSecret: ["authorization"] };
});
