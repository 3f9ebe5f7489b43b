import { payloadSettings } from "@warren/jobs";
import { z } from "zod";

const days = (what: string) => z.coerce.number().int().min(1).max(3_650).optional().describe(`${what}, 1 to 3650`);

const milliseconds = (fallback: number, what: string) =>
  z.coerce.number().int().min(10).max(3_600_000).default(fallback).describe(`${what}, 10 to 3600000 milliseconds`);

/** The dispatcher's own settings. */
export const dispatcherConfig = payloadSettings.extend({
  WARREN_POLL_MS: milliseconds(75, "how often to look for due and unpublished jobs while there are none"),
  WARREN_LOST_AFTER_MS: milliseconds(30_000, "after how long a published and unclaimed job may be lost"),
  WARREN_RETENTION_DAYS: z.coerce
    .number()
    .int()
    .min(1)
    .max(3_650)
    .default(14)
    .describe("days to keep finished jobs, 1 to 3650"),
  WARREN_REQUEST_RETENTION_DAYS: days("days to keep webhook requests, as long as jobs when left out"),
  WARREN_DEDUPE_DAYS: days("days to know a webhook event again, 35 or as long as requests when left out"),
});

export type DispatcherConfig = z.output<typeof dispatcherConfig>;
