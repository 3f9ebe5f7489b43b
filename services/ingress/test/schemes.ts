import { createHmac, createPrivateKey, sign } from "node:crypto";
import {
  githubSecret,
  hmacHex,
  signing,
  signingSeconds,
  standardHeaders,
  standardSecret,
  stripeHeader,
  stripeSecret,
} from "./signed.ts";

/** How one provider signs, for the properties that hold for every provider. */
export interface Scheme {
  readonly name: string;
  /** The source without its secrets. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Two secrets as configured; both are current. */
  readonly secrets: readonly [string, string];
  /** The headers that a sender with the first or second secret adds. Each is covered: no bit of it may be flipped. */
  readonly sign: (body: string, which: 0 | 1) => Readonly<Record<string, string>>;
  /** A body that the provider could send. Default: `id`, `type` and some data as JSON. */
  readonly body?: (id: string, text: string) => string;
  /** Whether the signature covers the body. Default: yes. */
  readonly coversBody?: false;
  /** Headers that are needed and looked at, but that the signature does not cover. */
  readonly uncovered?: readonly string[];
}

function hmacScheme(
  name: string,
  secrets: readonly [string, string],
  sign: (body: string, secret: string) => Readonly<Record<string, string>>,
  more: Partial<Scheme> = {},
): Scheme {
  return { name, settings: { provider: name }, secrets, sign: (body, which) => sign(body, secrets[which]), ...more };
}

const otherStandardSecret = `whsec_${Buffer.from("another key of 24 bytes!").toString("base64")}`;

/** Ed25519 keys of RFC 8032, section 7.1, tests 1 and 2: private seed and public key. */
export const ed25519Keys = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
  ],
] as const;

export function ed25519Hex(which: 0 | 1, content: string): string {
  const [seed, x] = ed25519Keys[which].map((hex) => Buffer.from(hex, "hex").toString("base64url"));
  const key = createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", d: seed ?? "", x: x ?? "" }, format: "jwk" });
  return sign(null, Buffer.from(content), key).toString("hex");
}

const now = (): string => String(signingSeconds());

function svixHeaders(body: string, secret: string): Readonly<Record<string, string>> {
  const headers = standardHeaders("msg_1", body, signingSeconds(), secret);
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.replace("webhook-", "svix-"), value]));
}

export const schemes: readonly Scheme[] = [
  hmacScheme("bitbucket", ["s3cret", "0ther"], (body, secret) => ({
    "x-hub-signature": `sha256=${hmacHex(secret, body)}`,
  })),
  hmacScheme("calendly", ["s3cret", "0ther"], (body, secret) => ({
    "calendly-webhook-signature": `t=${now()},v1=${hmacHex(secret, `${now()}.${body}`)}`,
  })),
  hmacScheme("clerk", [standardSecret, otherStandardSecret], svixHeaders),
  {
    name: "discord",
    settings: { provider: "discord" },
    secrets: [ed25519Keys[0][1], ed25519Keys[1][1]],
    sign: (body, which) => ({
      "x-signature-ed25519": ed25519Hex(which, now() + body),
      "x-signature-timestamp": now(),
    }),
    body: (id, text) => JSON.stringify({ id, type: 2, data: text }),
  },
  {
    name: "gitlab with a token",
    settings: { provider: "gitlab" },
    secrets: ["s3cret", "0ther"],
    sign: (_body, which) => ({ "x-gitlab-token": which === 0 ? "s3cret" : "0ther" }),
    coversBody: false,
  },
  hmacScheme(
    "gitlab with a signing token",
    [standardSecret, otherStandardSecret],
    (body, secret) => standardHeaders("d5c7a3f0-8c2e-4a62-9d2b-2f6a1f6f1c2e", body, signingSeconds(), secret),
    { settings: { provider: "gitlab", options: { scheme: "signature" } } },
  ),
  hmacScheme("intercom", ["s3cret", "0ther"], (body, secret) => ({
    "x-hub-signature": `sha1=${createHmac("sha1", secret).update(body).digest("hex")}`,
  })),
  hmacScheme("jira", ["s3cret", "0ther"], (body, secret) => ({ "x-hub-signature": `sha256=${hmacHex(secret, body)}` })),
  hmacScheme("linear", ["s3cret", "0ther"], (body, secret) => ({ "linear-signature": hmacHex(secret, body) }), {
    body: (id, text) =>
      JSON.stringify({ action: "create", type: "Issue", id, data: text, webhookTimestamp: signing.atMs }),
  }),
  hmacScheme("paddle", ["pdl_ntfset_1", "pdl_ntfset_2"], (body, secret) => ({
    "paddle-signature": `ts=${now()};h1=${hmacHex(secret, `${now()}:${body}`)}`,
  })),
  hmacScheme("resend", [standardSecret, otherStandardSecret], svixHeaders),
  hmacScheme("shopify", ["s3cret", "0ther"], (body, secret) => ({
    "x-shopify-hmac-sha256": createHmac("sha256", secret).update(body).digest("base64"),
  })),
  hmacScheme("slack", ["s3cret", "0ther"], (body, secret) => ({
    "x-slack-signature": `v0=${hmacHex(secret, `v0:${now()}:${body}`)}`,
    "x-slack-request-timestamp": now(),
  })),
  hmacScheme("svix", [standardSecret, otherStandardSecret], svixHeaders),
  {
    name: "telegram",
    settings: { provider: "telegram" },
    secrets: ["s3cret", "0ther"],
    sign: (_body, which) => ({ "x-telegram-bot-api-secret-token": which === 0 ? "s3cret" : "0ther" }),
    body: (_id, text) => JSON.stringify({ update_id: 10_000, message: { text } }),
    coversBody: false,
  },
  hmacScheme("zoom", ["s3cret", "0ther"], (body, secret) => ({
    "x-zm-signature": `v0=${hmacHex(secret, `v0:${now()}:${body}`)}`,
    "x-zm-request-timestamp": now(),
  })),
  hmacScheme("github", [githubSecret, "another"], (body, secret) => ({
    "x-hub-signature-256": `sha256=${hmacHex(secret, body)}`,
  })),
  hmacScheme("stripe", [stripeSecret, "whsec_other"], (body, secret) => ({
    "stripe-signature": stripeHeader(body, secret, signingSeconds()),
  })),
  hmacScheme("standard-webhooks", [standardSecret, otherStandardSecret], (body, secret) =>
    standardHeaders("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", body, signingSeconds(), secret),
  ),
  hmacScheme(
    "hmac",
    ["s3cret", "0ther"],
    (body, secret) => ({
      "x-sig": `v0=${hmacHex(secret, `v0:${signingSeconds()}:${body}`)}`,
      "x-at": String(signingSeconds()),
    }),
    {
      settings: {
        provider: "hmac",
        options: { header: "x-sig", prefix: "v0=", content: "v0:{timestamp}:{body}", timestamp: { header: "x-at" } },
      },
    },
  ),
];
