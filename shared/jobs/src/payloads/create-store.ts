import { fileURLToPath } from "node:url";
import { z } from "zod";
import { PayloadError } from "./errors.ts";
import { createFileStore, type FileStoreOptions } from "./file-store.ts";
import { createS3Store, type S3StoreOptions } from "./s3-store.ts";
import type { PayloadStore } from "./store.ts";

export type PayloadStoreOptions =
  | ({ readonly kind: "file" } & FileStoreOptions)
  | ({ readonly kind: "s3" } & S3StoreOptions)
  /** `file:///directory`, or `s3://bucket/prefix?endpoint=…&region=…&pathStyle=true` with the credentials beside it. */
  | ({ readonly kind: "url"; readonly url: string } & Partial<
      Pick<S3StoreOptions, "accessKeyId" | "secretAccessKey" | "sessionToken">
    >);

const text = z.string().min(1);
const credentials = { accessKeyId: text, secretAccessKey: text, sessionToken: text.optional() };
const bucket = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "expected a bucket name: 3 to 63 small letters, digits, dots, dashes");
const httpUrl = z.url({ protocol: /^https?$/, error: "expected an http or https URL" });

const fileOptions = z.strictObject({ kind: z.literal("file"), directory: text });
const s3Options = z.strictObject({
  kind: z.literal("s3"),
  bucket,
  prefix: z.string().max(200).optional(),
  endpoint: httpUrl.optional(),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,50}$/i, "expected a region such as eu-central-1")
    .optional(),
  ...credentials,
  pathStyle: z.boolean().optional(),
  timeoutMs: z.number().int().positive().max(600_000).optional(),
  retries: z.number().int().min(0).max(20).optional(),
  fetch: z.custom<typeof fetch>((value) => typeof value === "function", "expected a function").optional(),
  random: z.custom<() => number>((value) => typeof value === "function", "expected a function").optional(),
});

/**
 * Opens a payload store: a directory, or a bucket of anything that speaks S3. Touches neither; ask `check()` at start.
 * @throws PayloadError `PAYLOAD_STORE_INVALID` naming the setting, never a secret.
 */
export function createPayloadStore(options: PayloadStoreOptions): PayloadStore {
  const expanded = options.kind === "url" ? readUrl(options) : options;
  if (expanded.kind === "file") return createFileStore(parse(fileOptions, expanded));
  return createS3Store(definedOnly(parse(s3Options, expanded)));
}

type FromUrl = Extract<PayloadStoreOptions, { readonly kind: "url" }>;

function readUrl({
  url: given,
  accessKeyId,
  secretAccessKey,
  sessionToken,
}: FromUrl): Readonly<Record<string, unknown>> & { kind: "file" | "s3" } {
  if (!URL.canParse(given)) throw invalid("url", "expected file:///directory or s3://bucket/prefix");
  const url = new URL(given);
  if (url.protocol === "file:") {
    if (url.host !== "") throw invalid("url", "expected three slashes: file:///directory");
    return { kind: "file", directory: fileURLToPath(url) };
  }
  if (url.protocol !== "s3:") throw invalid("url", `expected file:// or s3://, got ${url.protocol}//`);
  if (url.username !== "" || url.password !== "") throw invalid("url", "credentials do not belong into it");
  const { endpoint, region, pathStyle, ...unknown } = Object.fromEntries(url.searchParams);
  const stranger = Object.keys(unknown)[0];
  if (stranger !== undefined)
    throw invalid("url", `unknown parameter "${stranger}"; known: endpoint, region, pathStyle`);
  if (pathStyle !== undefined && !["true", "false"].includes(pathStyle))
    throw invalid("url", "pathStyle: expected true or false");
  return {
    kind: "s3",
    bucket: url.hostname,
    prefix: decodeURIComponent(url.pathname.slice(1)),
    endpoint,
    region,
    ...(pathStyle === undefined ? {} : { pathStyle: pathStyle === "true" }),
    accessKeyId,
    secretAccessKey,
    sessionToken,
  };
}

function parse<T extends z.ZodObject>(schema: T, options: unknown): z.output<T> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue?.code === "unrecognized_keys" ? String(issue.keys[0]) : (issue?.path.join(".") ?? "");
  throw invalid(path, issue?.message ?? "invalid");
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function definedOnly<T extends object>(options: T): Defined<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Defined<T>;
}

function invalid(path: string, why: string): PayloadError {
  return new PayloadError("PAYLOAD_STORE_INVALID", `payload store: "${path}": ${why}`, { details: { path } });
}
