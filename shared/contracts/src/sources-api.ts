import { z } from "zod";
import { moment } from "./api.ts";
import { sourceName } from "./webhooks.ts";

const mebibyte = 1_048_576;

/** What a source may be given beside its provider and its secrets, in the configuration and over the management API. */
export const sourceTraits = {
  options: z
    .record(z.string(), z.unknown())
    .default({})
    .describe("settings of the provider, see infra/docs/providers.md"),
  maxBodyBytes: z
    .int()
    .min(1)
    .max(64 * mebibyte)
    .default(mebibyte)
    .describe("largest body in bytes, as received"),
  contentTypes: z
    .array(z.string().min(1).max(100))
    .min(1)
    .max(50)
    .optional()
    .describe("media types taken, such as application/json, text/*, application/*+json or *; default: the provider's"),
  rateLimit: z
    .strictObject({
      perSecond: z.number().positive().max(1_000_000),
      burst: z.int().min(1).max(1_000_000).optional().describe("how many at once after a pause; default: one second's"),
    })
    .optional()
    .describe("authentic events taken, over all ingress processes; more are answered 429"),
  answer: z
    .strictObject({
      status: z.literal([200, 201, 202, 204]),
      contentType: z
        .string()
        .regex(/^[\x20-\x7e]{1,100}$/, "expected a media type such as text/plain")
        .optional(),
      body: z.string().max(4096).default(""),
    })
    .refine(({ status, body }) => status !== 204 || body === "", "204 has no body")
    .refine(
      ({ contentType, body }) => (contentType === undefined) === (body === ""),
      "give contentType and body, or neither",
    )
    .optional()
    .describe("what accepted and duplicate events are answered with; default: the provider's"),
} as const;

export type SourceTraits = z.output<z.ZodObject<typeof sourceTraits>>;

const secretView = z
  .object({
    id: z.uuid().nullable().describe("null for secrets of the configuration"),
    current: z.boolean().describe("whether it is within its notBefore and notAfter"),
    notBefore: moment.nullable(),
    notAfter: moment.nullable(),
    createdAt: moment.nullable(),
  })
  .meta({ id: "SourceSecret" });

/** A source of webhooks as the management API shows it; never its secrets. */
export const sourceView = z
  .object({
    name: sourceName,
    provider: z.string(),
    origin: z
      .enum(["configuration", "api"])
      .describe("`configuration`: from variables or file, and changed there only; `api`: made at run time"),
    enabled: z.boolean(),
    problem: z
      .string()
      .nullable()
      .describe("why it cannot take webhooks now though it is enabled; its senders are then answered 503"),
    path: z.string().describe("where its webhooks are taken, such as /webhooks/shop-eu"),
    methods: z.array(z.string()),
    contentTypes: z.array(z.string()),
    maxBodyBytes: z.int(),
    rateLimit: z.object({ perSecond: z.number(), burst: z.int().optional() }).nullable(),
    answer: z
      .object({ status: z.int(), contentType: z.string().nullable(), body: z.string().nullable() })
      .describe("body null: Warren's receipt"),
    options: z.record(z.string(), z.unknown()).describe("secret ones are shown as ***"),
    secrets: z.array(secretView),
    testable: z.boolean().describe("whether a test event can be made: the secret is here, and it signs"),
    revision: z.int().nullable(),
    createdAt: moment.nullable(),
    updatedAt: moment.nullable(),
  })
  .meta({ id: "Source" });

export type SourceView = z.output<typeof sourceView>;

const secretValue = z.string().trim().min(1).max(10_000);

const newSecret = z
  .strictObject({
    value: secretValue.describe("as the provider shows it"),
    notBefore: moment.optional(),
    notAfter: moment.optional(),
  })
  .refine(
    ({ notBefore, notAfter }) =>
      notBefore === undefined || notAfter === undefined || Date.parse(notBefore) < Date.parse(notAfter),
    "notAfter must lie after notBefore",
  );

/** The body of `POST /sources`. */
export const newSource = z
  .strictObject({
    name: sourceName,
    provider: z.string().min(1).max(100),
    enabled: z.boolean().default(true),
    ...sourceTraits,
    secrets: z
      .array(newSecret)
      .max(10)
      .default([])
      .describe("none: one is made, where the provider lets its user choose it, and shown in the answer, once"),
  })
  .meta({ id: "NewSource" });

export type NewSourceBody = z.output<typeof newSource>;

/** The body of `PATCH /sources/{name}`: what is left out stays, null is the provider's default again. */
export const sourcePatch = z
  .strictObject({
    enabled: z.boolean(),
    options: z.record(z.string(), z.unknown()).describe("all of them: they are replaced as a whole"),
    maxBodyBytes: sourceTraits.maxBodyBytes.unwrap(),
    contentTypes: sourceTraits.contentTypes.unwrap().nullable(),
    rateLimit: sourceTraits.rateLimit.unwrap().nullable(),
    answer: sourceTraits.answer.unwrap().nullable(),
  })
  .partial()
  .meta({ id: "SourcePatch" });

export type SourcePatch = z.output<typeof sourcePatch>;

/** The body of `POST /sources/{name}/secrets`. */
export const secretRotation = z
  .strictObject({
    value: secretValue.optional().describe("none: one is made, where the provider lets its user choose it"),
    overlapSeconds: z
      .int()
      .min(0)
      .max(30 * 86_400)
      .default(86_400)
      .describe("how long the secrets before it stay good; 0: they are refused from now on"),
  })
  .default({ overlapSeconds: 86_400 })
  .meta({ id: "SecretRotation" });

export type SecretRotation = z.output<typeof secretRotation>;

/** A source, and a secret that was made for it: nobody shows it again. */
export const sourceWithSecret = z
  .object({
    source: sourceView,
    secret: z.string().nullable().describe("the secret that was made, shown this once; null: you gave it"),
  })
  .meta({ id: "SourceWithSecret" });

/** The body of `POST /sources/{name}/test`. */
export const sourceTest = z
  .strictObject({
    type: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$/, "expected a type such as invoice.paid")
      .default("warren.test"),
    payload: z
      .record(z.string(), z.unknown())
      .default({})
      .describe("members of the event's data, where the provider's schema has them"),
  })
  .default({ type: "warren.test", payload: {} })
  .meta({ id: "SourceTest" });

export type SourceTest = z.output<typeof sourceTest>;

/** What was sent as a test event, and what the ingress answered. */
export const sourceTestResult = z
  .object({
    accepted: z.boolean(),
    correlationId: z.string().describe("under which logs, request and jobs are found"),
    request: z.object({
      method: z.string(),
      url: z.string(),
      headers: z.record(z.string(), z.string()).describe("those that hold the secret itself are shown as ***"),
      body: z.string(),
    }),
    answer: z.object({ status: z.int(), body: z.string() }),
  })
  .meta({ id: "SourceTestResult" });

export type SourceTestResult = z.output<typeof sourceTestResult>;

/** A kind of sender. */
export const providerView = z
  .object({
    name: z.string(),
    hasSecrets: z.boolean(),
    choosesSecret: z.boolean().describe("whether a secret can be made here, for you to enter at the provider"),
    testable: z.boolean(),
    methods: z.array(z.string()),
    contentTypes: z.array(z.string()),
    options: z.record(z.string(), z.unknown()).describe("JSON Schema of a source's options"),
  })
  .meta({ id: "Provider" });
