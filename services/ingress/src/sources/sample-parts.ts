import type { KeyObject } from "node:crypto";
import type { z } from "zod";
import { type HmacAlgorithm, hmac, type SignatureEncoding, type SignedContent } from "../verify/signature.ts";

/** What a sample request is made of. */
export interface SampleParts {
  /** A current secret of the source. */
  readonly key: KeyObject;
  /** Of this event alone. */
  readonly id: string;
  readonly type: string;
  readonly nowMs: number;
  /** Members of the JSON body, or fields of the form, beside and before those that the provider's schema needs. */
  readonly payload: Readonly<Record<string, unknown>>;
  /** Path of the request. */
  readonly path: string;
}

/** A request as the provider would send it. */
export interface Sample {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Default: the path alone. */
  readonly url?: string;
  /** Headers that hold the secret itself, in lower case: not to be shown. `url` where the address does. */
  readonly bearsSecret?: readonly string[];
}

export type Sampler = (parts: SampleParts) => Sample;

const jsonType = { "content-type": "application/json" };

export function seconds({ nowMs }: SampleParts): string {
  return String(Math.floor(nowMs / 1000));
}

export function mac(
  algorithm: HmacAlgorithm,
  encoding: SignatureEncoding,
  { key }: SampleParts,
  content: SignedContent,
): string {
  return hmac(
    algorithm,
    key,
    content.map((part) => (typeof part === "string" ? Buffer.from(part, "utf8") : part)),
    encoding,
  );
}

type BodyOf = (parts: SampleParts) => unknown;
type HeadersOf = (parts: SampleParts, body: string) => Readonly<Record<string, string>>;

/** JSON with headers that prove it. */
export function jsonSample(bodyOf: BodyOf, headersOf: HeadersOf, bearsSecret: readonly string[] = []): Sampler {
  return (parts) => {
    const body = JSON.stringify(bodyOf(parts));
    return { headers: { ...jsonType, ...headersOf(parts, body) }, body, bearsSecret };
  };
}

/** An HMAC of the body in a header of its own. */
export function bodyMac(
  header: string,
  { prefix = "", algorithm = "sha256", encoding = "hex" }: Partial<BodyMac> = {},
): HeadersOf {
  return (parts, body) => ({ [header]: prefix + mac(algorithm, encoding, parts, [body]) });
}

interface BodyMac {
  readonly prefix: string;
  readonly algorithm: HmacAlgorithm;
  readonly encoding: SignatureEncoding;
}

export const merged =
  (...all: readonly HeadersOf[]): HeadersOf =>
  (parts, body) =>
    Object.assign({}, ...all.map((headersOf) => headersOf(parts, body))) as Readonly<Record<string, string>>;

/** The usual body: an id and a type beside whatever was asked for. */
export const idAndType: BodyOf = ({ id, type, payload }) => ({ id, type, ...payload });

/** The headers of Standard Webhooks under one of its two prefixes. */
export function standardSample(prefix: "webhook" | "svix"): Sampler {
  return jsonSample(idAndType, standardHeaders(prefix));
}

export function standardHeaders(prefix: "webhook" | "svix"): HeadersOf {
  return (parts, body) => {
    const time = seconds(parts);
    return {
      [`${prefix}-id`]: parts.id,
      [`${prefix}-timestamp`]: time,
      [`${prefix}-signature`]: `v1,${mac("sha256", "base64", parts, [`${parts.id}.${time}.${body}`])}`,
    };
  };
}

/** Makes the sampler of a source from its options, which were checked when it was opened. */
export type SamplerOf = (options: unknown) => Sampler;

export function withOptions<Schema extends z.ZodType>(
  schema: Schema,
  sample: (options: z.output<Schema>, parts: SampleParts) => Sample,
): SamplerOf {
  return (raw) => {
    const options = schema.parse(raw);
    return (parts) => sample(options, parts);
  };
}

/** The secret as a header carries it: its bytes, one a character. */
export const token = ({ key }: SampleParts): string => key.export().toString("latin1");

export const basicAuthorization = ({ key }: SampleParts): string => `Basic ${key.export().toString("base64")}`;
