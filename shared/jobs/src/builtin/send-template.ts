import { sendTemplateJob } from "@warren/contracts";
import { defineJob } from "../define.ts";

/**
 * `notifications.send-template`: one mail from a template. Enqueue it with the payload that `sendTemplate()` of `@warren/contracts` builds.
 * Twelve attempts over about an hour outlast greylisting (RFC 6647 §5 advises servers to ask for 1 to 30 minutes); an outage of the whole
 * mail server burns none of them, because the breaker holds the jobs.
 */
export const sendTemplateEmail = defineJob({
  ...sendTemplateJob,
  attempts: 12,
  backoff: { kind: "exponential", delayMs: 2_000, maxDelayMs: 1_800_000 },
  timeoutMs: 60_000,
});
