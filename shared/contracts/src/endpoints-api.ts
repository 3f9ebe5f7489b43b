import { z } from "zod";
import { moment } from "./api.ts";
import { emailAddress } from "./notifications.ts";
import { outboundEventPattern, outboundEventType } from "./outbound.ts";

/** Headers that Warren or HTTP itself sets; an endpoint's own may not replace them. */
export const reservedWebhookHeaders: ReadonlySet<string> = new Set([
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "keep-alive",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "webhook-id",
  "webhook-signature",
  "webhook-timestamp",
]);

const longestUrl = 2_000;

/** Text that can be kept and shown on one line. */
function isLine(text: string): boolean {
  return /^\P{Cc}*$/u.test(text) && text.isWellFormed();
}

function isWebhookUrl(text: string): boolean {
  if (text.length > longestUrl || !isLine(text) || !URL.canParse(text)) return false;
  const { protocol, username, password, hash, hostname } = new URL(text);
  const isPlain = username === "" && password === "" && hash === "" && hostname !== "";
  return (protocol === "https:" || protocol === "http:") && isPlain;
}

function isProxyUrl(text: string): boolean {
  if (text.length > longestUrl || !URL.canParse(text)) return false;
  const { protocol, pathname, search, hash } = new URL(text);
  return (protocol === "https:" || protocol === "http:") && pathname === "/" && search === "" && hash === "";
}

const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, "expected the name of a header")
  .refine((name) => !reservedWebhookHeaders.has(name.toLowerCase()), "this header is Warren's to set");
const headerValue = z
  .string()
  .max(4_000)
  .regex(/^[\x20-\x7e]*$/, "expected printable ASCII");

const endpointRate = z
  .strictObject({
    limit: z.int().min(1).max(1_000_000),
    perMs: z.int().min(1).max(86_400_000),
    burst: z.int().min(1).max(1_000_000).optional().describe("what may go at once after a pause; default: limit"),
  })
  .meta({ id: "DeliveryRate" });

const pem = z.string().min(1).max(20_000);

const fields = {
  url: z
    .string()
    .refine(
      isWebhookUrl,
      `expected an http(s) URL of up to ${longestUrl} characters, without user, password or fragment`,
    )
    .describe("where deliveries go, by POST"),
  description: z.string().max(500).refine(isLine, "expected text without control characters"),
  eventTypes: z
    .array(outboundEventPattern)
    .max(100)
    .describe("types it wants; words may be `*` (one word) or `#` (any number of words); none: every type"),
  format: z
    .enum(["standard", "plain"])
    .describe("the body: `standard` is { type, timestamp, data }, `plain` is the payload alone"),
  timeoutMs: z.int().min(100).max(30_000).describe("for one try, connecting and the whole answer included"),
  rate: endpointRate.nullable().describe("deliveries started"),
  concurrency: z.int().min(1).max(100).nullable().describe("deliveries under way at once; null: the service's default"),
  notify: emailAddress.nullable().describe("who gets a mail when it is disabled for failing"),
  localAddress: z
    .union([z.ipv4(), z.ipv6()])
    .nullable()
    .describe("address of this machine that connections leave from"),
  headers: z
    .record(headerName, headerValue)
    .refine((headers) => Object.keys(headers).length <= 20, "expected at most 20 headers")
    .describe("sent with every delivery; sealed at rest, never shown"),
  proxyUrl: z
    .string()
    .refine(isProxyUrl, "expected an http(s) URL of a proxy, without a path")
    .nullable()
    .describe("a proxy to tunnel through (CONNECT); sealed at rest, never shown"),
  clientCertificate: z
    .strictObject({
      certificate: pem.describe("PEM, with its chain"),
      key: pem.describe("PEM"),
      passphrase: z.string().max(500).optional(),
      authority: pem.optional().describe("PEM of the authority that the endpoint's own certificate must come from"),
    })
    .nullable()
    .describe("for mutual TLS; sealed at rest, never shown"),
} as const;

/** What of an endpoint need not be sealed, as the ledger keeps it. */
export const endpointSettings = z.object({
  description: fields.description.default(""),
  format: fields.format.default("standard"),
  timeoutMs: fields.timeoutMs.default(15_000),
  rate: endpointRate.nullable().default(null),
  concurrency: fields.concurrency.default(null),
  notify: fields.notify.default(null),
  localAddress: fields.localAddress.default(null),
});

/** What of an endpoint is sealed at rest. */
export const endpointSecrets = z.object({
  headers: fields.headers.default({}),
  proxyUrl: fields.proxyUrl.default(null),
  clientCertificate: fields.clientCertificate.default(null),
});

export type EndpointSettings = z.output<typeof endpointSettings>;
export type EndpointSecrets = z.output<typeof endpointSecrets>;

const secretText = z
  .string()
  .regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/, "expected whsec_ and the base64 of 24 to 64 bytes");

/** A new secret: `v1` is HMAC-SHA256, `v1a` Ed25519, whose public key is shown. */
export const newEndpointSecret = z.strictObject({
  kind: z.enum(["v1", "v1a"]).default("v1"),
  secret: secretText.optional().describe("a v1 secret of your own; default: a new one"),
});

/** The body of POST /endpoints. */
export const newEndpoint = z
  .strictObject({
    url: fields.url,
    eventTypes: fields.eventTypes.default([]),
    ...endpointSettings.shape,
    ...endpointSecrets.shape,
    secret: newEndpointSecret.prefault({}),
  })
  .meta({ id: "NewEndpoint" });

/** The body of PATCH /endpoints/{id}: what is left out stays. */
export const endpointChange = z.strictObject(fields).partial().meta({ id: "EndpointChange" });

export type NewEndpoint = z.input<typeof newEndpoint>;

/** The body of POST /endpoints/{id}/rotate. */
export const endpointRotation = newEndpointSecret
  .extend({
    overlapSeconds: z
      .int()
      .min(0)
      .max(30 * 86_400)
      .default(86_400)
      .describe("for how long deliveries are signed with the secrets before it as well"),
  })
  .default({ kind: "v1", overlapSeconds: 86_400 });

/** The body of POST /endpoints/{id}/test. */
export const endpointTest = z
  .strictObject({
    eventType: outboundEventType.default("warren.test"),
    payload: z.unknown().optional().describe("any JSON; default: { test: true }"),
  })
  .default({ eventType: "warren.test" });

export const endpointTestAnswer = z.object({ deliveryId: z.uuid() });

/** The body of POST /endpoints/{id}/retry. */
export const endpointRetry = z.strictObject({
  since: moment.describe("deliveries made at this moment or later"),
  limit: z.int().min(1).max(10_000).default(1_000).describe("how many at most, the newest first"),
});

export const endpointRetryAnswer = z.object({ retried: z.int() });

/** An endpoint as the management API shows it; never its secrets. */
export const endpointView = z
  .object({
    id: z.uuid(),
    url: z.string(),
    eventTypes: z.array(z.string()),
    ...endpointSettings.shape,
    headerNames: z.array(z.string()),
    hasProxy: z.boolean(),
    hasClientCertificate: z.boolean(),
    state: z.enum(["enabled", "disabled"]),
    disabledReason: z.string().nullable().describe("`failing`, `gone` (it answered 410) or `manual`"),
    disabledAt: moment.nullable(),
    failingSince: moment.nullable().describe("the first of the failures that no success has followed"),
    lastSuccessAt: moment.nullable(),
    lastFailureAt: moment.nullable(),
    secrets: z.array(
      z.object({
        id: z.uuid(),
        kind: z.enum(["v1", "v1a"]),
        publicKey: z.string().nullable().describe("whpk_… of v1a"),
        createdAt: moment,
        expiresAt: moment.nullable().describe("until when it signs beside newer ones"),
      }),
    ),
    createdAt: moment,
    updatedAt: moment,
  })
  .meta({ id: "Endpoint" });

/** An endpoint with a secret that was just made. */
export const endpointWithSecret = z
  .object({
    endpoint: endpointView,
    secret: z.string().nullable().describe("whsec_… of v1: shown this once; null for v1a"),
    publicKey: z.string().nullable().describe("whpk_… of v1a; null for v1"),
  })
  .meta({ id: "EndpointWithSecret" });

export type EndpointView = z.output<typeof endpointView>;
