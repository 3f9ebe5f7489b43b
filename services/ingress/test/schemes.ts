import {
  githubSecret,
  hmacHex,
  nowSeconds,
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

export const schemes: readonly Scheme[] = [
  hmacScheme("github", [githubSecret, "another"], (body, secret) => ({
    "x-hub-signature-256": `sha256=${hmacHex(secret, body)}`,
  })),
  hmacScheme("stripe", [stripeSecret, "whsec_other"], (body, secret) => ({
    "stripe-signature": stripeHeader(body, secret),
  })),
  hmacScheme("standard-webhooks", [standardSecret, otherStandardSecret], (body, secret) =>
    standardHeaders("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", body, nowSeconds, secret),
  ),
  hmacScheme(
    "hmac",
    ["s3cret", "0ther"],
    (body, secret) => ({
      "x-sig": `v0=${hmacHex(secret, `v0:${nowSeconds}:${body}`)}`,
      "x-at": String(nowSeconds),
    }),
    {
      settings: {
        provider: "hmac",
        options: { header: "x-sig", prefix: "v0=", content: "v0:{timestamp}:{body}", timestamp: { header: "x-at" } },
      },
    },
  ),
];
