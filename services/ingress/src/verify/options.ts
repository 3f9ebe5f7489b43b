import { z } from "zod";
import { addressList } from "../address/address-list.ts";
import { parseTemplate } from "./template.ts";
import { yookassaAddresses } from "./yookassa.ts";

export const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, "expected the name of an HTTP header");

/** Where a value stands in a request: in a header, or in the JSON body under a JSON Pointer (RFC 6901). */
const valueFrom = z
  .strictObject({
    header: headerName.optional(),
    json: z.string().startsWith("/", 'expected a JSON Pointer such as "/data/id"').optional(),
  })
  .refine((from) => (from.header === undefined) !== (from.json === undefined), "give either header or json");

export type ValueFrom = z.infer<typeof valueFrom>;

/** Where the id, the type and the subject of an event stand. Without an id, the same bytes are the same event. */
export const eventOptions = {
  eventId: valueFrom.optional(),
  eventType: valueFrom.optional(),
  eventSubject: valueFrom.optional(),
};

/** Addresses and networks in CIDR notation. */
export const addressesOption = z
  .array(z.string())
  .min(1)
  .superRefine((addresses, context) => {
    try {
      addressList(addresses);
    } catch (error) {
      context.addIssue({ code: "custom", message: error instanceof Error ? error.message : String(error) });
    }
  });

export const hmacOptions = z
  .strictObject({
    algorithm: z.enum(["sha256", "sha512", "sha384", "sha1"]).default("sha256"),
    /** The header that carries the signature. */
    header: headerName,
    /** What stands before the signature, such as `sha256=`. A signature without it is not looked at. */
    prefix: z.string().max(50).default(""),
    encoding: z.enum(["hex", "base64", "base64url"]).default("hex"),
    /** What separates several signatures in the header. Default: there is one. */
    separator: z.string().min(1).max(3).optional(),
    /** What is signed, see `parseTemplate`. */
    content: z.string().max(500).default("{body}"),
    /** How the secret is written. */
    secretEncoding: z.enum(["utf8", "hex", "base64"]).default("utf8"),
    timestamp: z
      .strictObject({
        header: headerName,
        unit: z.enum(["s", "ms"]).default("s"),
        toleranceSeconds: z.number().positive().max(86_400).default(300),
      })
      .optional(),
    ...eventOptions,
  })
  .check((context) => {
    const parts = parseTemplate(context.value.content);
    const complain = (path: string, message: string) => {
      context.issues.push({ code: "custom", path: [path], message, input: context.value });
    };
    if (parts.filter((part) => part.kind === "body").length !== 1) {
      complain("content", "must hold {body} exactly once: what is not signed can be forged");
    }
    const signsTime = parts.some((part) => part.kind === "timestamp");
    if (context.value.timestamp !== undefined && !signsTime) {
      complain("content", "must hold {timestamp}: a time that is not signed can be forged");
    }
    if (context.value.timestamp === undefined && signsTime) {
      complain("timestamp", "is needed, because content holds {timestamp}");
    }
  });

export type HmacOptions = z.infer<typeof hmacOptions>;

export const yookassaOptions = z.strictObject({
  /** Addresses and networks that notifications come from. Default: those that YooKassa documents. */
  addresses: addressesOption.default([...yookassaAddresses]),
});

export const noOptions = z.strictObject({});

/** How far a signed time may lie in the past or in the future, in seconds. */
export function timedOptions(defaultSeconds: number) {
  return z.strictObject({ toleranceSeconds: z.number().positive().max(86_400).default(defaultSeconds) });
}

export const gitlabOptions = z.strictObject({
  /** `token`: the secret token in `X-Gitlab-Token`; `signature`: a signing token, `whsec_…`. */
  scheme: z.enum(["token", "signature"]).default("token"),
});
