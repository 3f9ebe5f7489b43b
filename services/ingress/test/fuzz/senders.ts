import { createHmac, randomUUID, sign } from "node:crypto";
import { productSchemes, rsaPairs } from "../product-schemes.ts";
import { type Scheme, schemes } from "../schemes.ts";
import { hmacHex, signing, signingSeconds } from "../signed.ts";

/** One request as a provider sends it, up to the connection. */
export interface Sent {
  readonly method: string;
  /** What follows the source's name in the path. */
  readonly query: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
}

/** A provider, and how it signs. */
export interface Sender {
  /** The source's name: it stands in the URL. */
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** What must not stand in any log. */
  readonly secrets: readonly string[];
  /** A body of the provider's kind around an id and a text. */
  readonly body: (id: string, text: string) => string;
  /** The body with what proves it at this moment; of a provider that signs inside of the body, another body. */
  readonly send: (body: Buffer) => Sent;
  /** Whether any bytes at all pass once they are signed, or only what is of the provider's shape. */
  readonly contentType: string;
}

const json = "application/json";
const plainBody = (id: string, text: string): string => JSON.stringify({ id, type: "fuzz", data: text });

function posted(body: Buffer, headers: Readonly<Record<string, string>>, contentType = json): Sent {
  return { method: "POST", query: "", headers: [["Content-Type", contentType], ...Object.entries(headers)], body };
}

function senderOf({ name, settings, secrets, sign: signed, body }: Scheme): Sender {
  return {
    name: name.replaceAll(/[^a-z0-9]+/g, "-"),
    settings: { ...settings, secrets },
    secrets,
    body: body ?? plainBody,
    contentType: json,
    // schemes sign text, so the bytes are those of a text
    send: (bytes) => posted(bytes, signed(bytes.toString("utf8"), signing.atMs % 2 === 0 ? 0 : 1)),
  };
}

const publicUrl = "https://hooks.example.com/webhooks/twilio";
const topic = "arn:aws:sns:us-west-2:123456789012:MyTopic";
const adyenKey = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
const event = { eventId: { json: "/id" }, eventType: { json: "/type" } };

function basic(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString("base64")}`;
}

/** Those that prove who sends, by a fixed header or by their address. */
function known(
  name: string,
  settings: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>>,
  more: Partial<Sender> = {},
): Sender {
  const secrets = (settings["secrets"] ?? []) as readonly string[];
  const send = (body: Buffer): Sent => posted(body, headers);
  return {
    name,
    settings: { provider: name, ...settings },
    secrets,
    body: plainBody,
    contentType: json,
    send,
    ...more,
  };
}

function adyenBody(id: string, text: string): string {
  const item = { pspReference: id, merchantReference: text, eventCode: "AUTHORISATION", success: "true" };
  const content = [id, "", "", text, "", "", item.eventCode, item.success].join(":");
  const hmacSignature = createHmac("sha256", Buffer.from(adyenKey, "hex")).update(content).digest("base64");
  return JSON.stringify({
    notificationItems: [{ NotificationRequestItem: { ...item, additionalData: { hmacSignature } } }],
  });
}

function snsBody(id: string, text: string): string {
  const message = { Message: text, MessageId: id, Timestamp: new Date(signing.atMs).toISOString(), TopicArn: topic };
  const signed = { ...message, Type: "Notification" };
  const content = Object.entries(signed).map(([name, value]) => `${name}\n${value}\n`);
  return JSON.stringify({
    ...signed,
    SignatureVersion: "2",
    SigningCertURL: "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-abc.pem",
    Signature: sign("sha256", Buffer.from(content.join("")), rsaPairs[0].privateKey).toString("base64"),
  });
}

function mailgunBody(_id: string, text: string): string {
  const token = randomUUID().replaceAll("-", "").padEnd(50, "0");
  const timestamp = String(signingSeconds());
  const signature = { timestamp, token, signature: hmacHex("mailgun-s3cret", timestamp + token) };
  return JSON.stringify({ signature, "event-data": { id: text.slice(0, 50), event: "opened" } });
}

function signedByTwilio(body: Buffer): Sent {
  const fields = [...new URLSearchParams(`&${body.toString("utf8")}`)];
  const pairs = new Map<string, Set<string>>();
  for (const [name, value] of fields) pairs.set(name, (pairs.get(name) ?? new Set()).add(value));
  const sorted = [...pairs].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const content = sorted.flatMap(([name, values]) => [...values].toSorted().map((value) => name + value)).join("");
  const signature = createHmac("sha1", "twilio-s3cret")
    .update(publicUrl + content)
    .digest("base64");
  return posted(body, { "X-Twilio-Signature": signature }, "application/x-www-form-urlencoded");
}

const loopback = ["127.0.0.0/8"];

/** Every provider, beside those of `schemes`. */
const others: readonly Sender[] = [
  known("addresses", { options: { addresses: loopback, ...event } }, {}),
  known(
    "api-key",
    { secrets: ["api-key-s3cret"], options: { header: "X-Api-Key", ...event } },
    { "X-Api-Key": "api-key-s3cret" },
  ),
  known("basic", { secrets: ["ops:basic-s3cret"], options: event }, { Authorization: basic("ops:basic-s3cret") }),
  known("bearer", { secrets: ["bearer-s3cret"], options: event }, { Authorization: "Bearer bearer-s3cret" }),
  known(
    "mtls",
    { options: { proxies: loopback, header: "X-Client", allowed: ["fuzz"], ...event } },
    { "X-Client": "fuzz" },
  ),
  known(
    "postmark",
    { secrets: ["ops:postmark-s3cret"] },
    { Authorization: basic("ops:postmark-s3cret") },
    {
      body: (id, text) => JSON.stringify({ MessageID: id, RecordType: "Bounce", Description: text }),
    },
  ),
  known(
    "yookassa",
    { options: { addresses: loopback } },
    {},
    {
      body: (id, text) =>
        JSON.stringify({
          type: "notification",
          event: "payment.succeeded",
          object: { id, status: "succeeded", description: text },
        }),
    },
  ),
  known("adyen", { secrets: [adyenKey] }, {}, { body: adyenBody }),
  known("mailgun", { secrets: ["mailgun-s3cret"] }, {}, { body: mailgunBody }),
  known("aws-sns", { secrets: [rsaPairs[0].publicText], options: { topics: [topic] } }, {}, { body: snsBody }),
  known(
    "twilio",
    { secrets: ["twilio-s3cret"], options: { publicUrl } },
    {},
    {
      body: (id, text) => new URLSearchParams({ MessageSid: id, Body: text }).toString(),
      contentType: "application/x-www-form-urlencoded",
      send: signedByTwilio,
    },
  ),
];

/** Providers with a moment in their path or address sign for this one. */
export const senders: readonly Sender[] = [...[...schemes, ...productSchemes].map(senderOf), ...others];
