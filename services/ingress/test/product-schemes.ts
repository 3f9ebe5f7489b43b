import { createHash, createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Scheme } from "./schemes.ts";
import { hmacHex, signing, signingSeconds } from "./signed.ts";

const publicUrl = "https://hooks.example.com/webhooks/test";
/** The route that `request()` asks for. */
const address = "https://hooks.example.com/webhooks/test";
const secrets = ["s3cret", "0ther"] as const;
const now = (): string => new Date(signing.atMs).toISOString();

function base64(algorithm: "sha1" | "sha256", secret: string | Buffer, content: string): string {
  return createHmac(algorithm, secret).update(content).digest("base64");
}

interface KeyPair {
  readonly privateKey: KeyObject;
  /** As base64 of its SubjectPublicKeyInfo. */
  readonly publicText: string;
}

function keyPair(kind: "rsa" | "p256"): KeyPair {
  const { privateKey, publicKey } =
    kind === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  return { privateKey, publicText: publicKey.export({ type: "spki", format: "der" }).toString("base64") };
}

export const rsaPairs = [keyPair("rsa"), keyPair("rsa")] as const;
const p256Pairs = [keyPair("p256"), keyPair("p256")] as const;

const hexKeys = [
  "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
  "DFB1EB5485895CFA84146406857104ABB4CBCABDC8AAF103A624C8F6A3EAAB00",
] as const;

/** The products whose signature covers the body. */
export const productSchemes: readonly Scheme[] = [
  {
    name: "adyen-platform",
    settings: { provider: "adyen-platform" },
    secrets: hexKeys,
    sign: (body, which) => ({ hmacsignature: base64("sha256", Buffer.from(hexKeys[which], "hex"), body) }),
  },
  {
    name: "dropbox",
    settings: { provider: "dropbox" },
    secrets,
    sign: (body, which) => ({ "x-dropbox-signature": hmacHex(secrets[which], body) }),
  },
  {
    name: "hubspot v3",
    settings: { provider: "hubspot", options: { publicUrl } },
    secrets,
    sign: (body, which) => ({
      "x-hubspot-signature-v3": base64("sha256", secrets[which], `POST${address}${body}${signing.atMs}`),
      "x-hubspot-request-timestamp": String(signing.atMs),
    }),
  },
  {
    name: "hubspot v2",
    settings: { provider: "hubspot", options: { publicUrl, version: "v2" } },
    secrets,
    sign: (body, which) => ({
      "x-hubspot-signature": createHash("sha256").update(`${secrets[which]}POST${address}${body}`).digest("hex"),
    }),
  },
  {
    name: "hubspot v1",
    settings: { provider: "hubspot", options: { publicUrl, version: "v1" } },
    secrets,
    sign: (body, which) => ({
      "x-hubspot-signature": createHash("sha256").update(`${secrets[which]}${body}`).digest("hex"),
    }),
  },
  {
    name: "meta",
    settings: { provider: "meta", options: { verifyToken: "meatyhamhock" } },
    secrets,
    sign: (body, which) => ({ "x-hub-signature-256": `sha256=${hmacHex(secrets[which], body)}` }),
  },
  {
    name: "pagerduty",
    settings: { provider: "pagerduty" },
    secrets,
    sign: (body, which) => ({ "x-pagerduty-signature": `v1=${hmacHex(secrets[which], body)}` }),
    body: (id, text) => JSON.stringify({ event: { id, event_type: "incident.triggered", data: text } }),
  },
  {
    name: "paypal",
    settings: { provider: "paypal", options: { webhookId: "1JE4291016473214C" } },
    secrets: [rsaPairs[0].publicText, rsaPairs[1].publicText],
    sign: (body, which) => {
      const content = `69cd13f0-d67a|${now()}|1JE4291016473214C|${crc32(body)}`;
      return {
        "paypal-transmission-id": "69cd13f0-d67a",
        "paypal-transmission-time": now(),
        "paypal-transmission-sig": sign("sha256", Buffer.from(content), rsaPairs[which].privateKey).toString("base64"),
        "paypal-cert-url": "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270",
        "paypal-auth-algo": "SHA256withRSA",
      };
    },
    body: (id, text) => JSON.stringify({ id, event_type: "PAYMENT.SALE.COMPLETED", resource: text }),
    uncovered: ["paypal-cert-url"],
  },
  {
    name: "sendgrid",
    settings: { provider: "sendgrid" },
    secrets: [p256Pairs[0].publicText, p256Pairs[1].publicText],
    sign: (body, which) => {
      const content = Buffer.from(`${signingSeconds()}${body}`);
      return {
        "x-twilio-email-event-webhook-signature": sign("sha256", content, p256Pairs[which].privateKey).toString(
          "base64",
        ),
        "x-twilio-email-event-webhook-timestamp": String(signingSeconds()),
      };
    },
    body: (id, text) => `${JSON.stringify([{ sg_event_id: id, event: "open", data: text }])}\r\n`,
  },
  {
    name: "square",
    settings: { provider: "square", options: { publicUrl } },
    secrets,
    sign: (body, which) => ({ "x-square-hmacsha256-signature": base64("sha256", secrets[which], publicUrl + body) }),
    body: (id, text) => JSON.stringify({ event_id: id, type: "payment.created", data: text }),
  },
  {
    name: "trello",
    settings: { provider: "trello", options: { publicUrl } },
    secrets,
    sign: (body, which) => ({ "x-trello-webhook": base64("sha1", secrets[which], body + publicUrl) }),
  },
  {
    name: "typeform",
    settings: { provider: "typeform" },
    secrets,
    sign: (body, which) => ({ "typeform-signature": `sha256=${base64("sha256", secrets[which], body)}` }),
    body: (id, text) => JSON.stringify({ event_id: id, event_type: "form_response", form_response: text }),
  },
  {
    name: "zendesk",
    settings: { provider: "zendesk" },
    secrets,
    sign: (body, which) => ({
      "x-zendesk-webhook-signature": base64("sha256", secrets[which], now() + body),
      "x-zendesk-webhook-signature-timestamp": now(),
    }),
  },
];
