import { reservedWebhookHeaders } from "@warren/contracts";
import { payloadSettings } from "@warren/jobs";
import { z } from "zod";
import { createAddressGuard } from "./address.ts";
import { parseDurations } from "./durations.ts";

const count = (least: number, most: number) => z.coerce.number().int().min(least).max(most);

/** The schedule may be shorter than the specification's, not longer: a job has ten attempts. */
const mostRetries = 9;

const retries = z.string().transform((text, context) => {
  const durations = parseDurations(text);
  if (durations !== undefined && durations.length <= mostRetries) return durations;
  context.addIssue({ code: "custom", message: "not a schedule" });
  return z.NEVER;
});

const networks = z
  .string()
  .default("")
  .transform((text) =>
    text
      .split(/[,\n]/)
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ""),
  )
  .refine((entries) => {
    try {
      createAddressGuard(entries);
      return true;
    } catch {
      return false;
    }
  });

const header = z.string().transform((text, context) => {
  const [, name = "", value = ""] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}): ?([\x20-\x7e]{0,4000})$/.exec(text) ?? [];
  if (name !== "" && !reservedWebhookHeaders.has(name.toLowerCase())) return { name, value };
  context.addIssue({ code: "custom", message: "not a header" });
  return z.NEVER;
});

/** Settings of the deliveries service. */
export const deliveriesConfig = payloadSettings.pick({ WARREN_PAYLOAD_KEYS: true }).extend({
  WARREN_DELIVERY_CONCURRENCY: count(1, 10_000)
    .default(512)
    .describe("how many deliveries this process has under way at once, 1 to 10000"),
  WARREN_DELIVERY_SLOW_AFTER_MS: count(1, 30_000)
    .default(1_000)
    .describe(
      "after how many milliseconds of waiting for its endpoint a delivery leaves its place to another one, 1 to 30000",
    ),
  WARREN_DELIVERY_MOST_SLOW: count(0, 100_000)
    .default(4_096)
    .describe(
      "how many such slow deliveries this process has under way beside WARREN_DELIVERY_CONCURRENCY, 0 to 100000",
    ),
  WARREN_DELIVERY_PER_ENDPOINT: count(1, 1_000)
    .default(10)
    .describe("how many deliveries to one endpoint are under way at once over all processes, 1 to 1000"),
  WARREN_DELIVERY_ALLOW: networks.describe(
    "addresses and networks that deliveries may go to though they are not public, such as 10.20.0.0/16,fd00:12::/32",
  ),
  WARREN_DELIVERY_RETRY: retries
    .prefault("5s,5m,30m,2h,5h,10h,14h,20h,24h")
    .describe(`delays between tries, up to ${mostRetries}, such as 5s,5m,30m,2h`),
  WARREN_DELIVERY_BREAKER_FAILURES: count(1, 1_000)
    .default(5)
    .describe("after how many tries in a row that find an endpoint away its other deliveries are held"),
  WARREN_DELIVERY_BREAKER_OPEN_MS: count(1, 3_600_000)
    .default(15_000)
    .describe("milliseconds before a held endpoint is tried again; grows up to WARREN_DELIVERY_BREAKER_MAX_OPEN_MS"),
  WARREN_DELIVERY_BREAKER_MAX_OPEN_MS: count(1, 86_400_000)
    .default(600_000)
    .describe("the longest such wait, unless the endpoint asks for more (Retry-After)"),
  WARREN_DELIVERY_DISABLE_AFTER_MS: count(1, 31_622_400_000)
    .default(5 * 86_400_000)
    .describe("after how many milliseconds without a success between failures an endpoint is disabled; default 5 days"),
  WARREN_DELIVERY_USER_AGENT: z
    .string()
    .regex(/^[\x20-\x7e]{1,200}$/)
    .default("Warren-Webhooks/1.0")
    .describe("the User-Agent header of deliveries"),
  WARREN_DELIVERY_HEADER: header
    .optional()
    .describe("one header that every delivery carries, such as X-Sent-By: shop.example.com"),
  WARREN_DELIVERY_RESPONSE_BYTES: count(0, 1_048_576)
    .default(16_384)
    .describe("how many bytes of an endpoint's answer are kept, 0 to 1048576"),
  WARREN_SNS_ENDPOINT: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("where subscriptions of AWS SNS are confirmed instead of at SNS's own hosts, such as a VPC endpoint"),
});

export type DeliveriesConfig = z.output<typeof deliveriesConfig>;
