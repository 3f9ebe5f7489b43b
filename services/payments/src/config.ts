import { z } from "zod";

const count = (least: number, most: number) => z.coerce.number().int().min(least).max(most);

/** Settings of the payments service. */
export const paymentsConfig = z.object({
  WARREN_YOOKASSA_SHOP_ID: z
    .string()
    .regex(/^[^\s:]+$/)
    .describe("the shop's id in YooKassa"),
  WARREN_YOOKASSA_SECRET_KEY: z.string().regex(/^\S+$/).describe("the shop's secret key in YooKassa"),
  WARREN_YOOKASSA_API_URL: z
    .url({ protocol: /^https?$/ })
    .default("https://api.yookassa.ru/v3")
    .describe("the base URL of YooKassa's API, such as https://api.yookassa.ru/v3"),
  WARREN_YOOKASSA_TIMEOUT_MS: count(1, 25_000).default(10_000).describe("milliseconds for one request, 1 to 25000"),
  WARREN_YOOKASSA_CONCURRENCY: count(1, 200).default(10).describe("how many requests at once, 1 to 200"),
  WARREN_YOOKASSA_BREAKER_FAILURES: count(1, 1_000)
    .default(5)
    .describe("after how many failures in a row the breaker opens"),
  WARREN_YOOKASSA_BREAKER_OPEN_MS: count(1, 600_000)
    .default(5_000)
    .describe("milliseconds before an open breaker lets one request try"),
  WARREN_YOOKASSA_BREAKER_MAX_OPEN_MS: count(1, 3_600_000)
    .default(60_000)
    .describe("the longest such wait, after repeated failures"),
  WARREN_PAYMENTS_CONCURRENCY: count(1, 1_000).default(16).describe("how many jobs are worked on at once, 1 to 1000"),
  WARREN_PAYMENTS_PREFETCH: count(1, 10_000)
    .default(32)
    .describe("how many messages may wait in this process, 1 to 10000"),
});
