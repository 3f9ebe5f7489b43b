import { confirmYookassaJob } from "@warren/contracts";
import { defineJob } from "../define.ts";

/**
 * `payments.confirm-yookassa`: believes a YooKassa notification only after asking YooKassa. Eight attempts over about two minutes cover the
 * lag between a notification and the API; an outage of the API burns none of them, because the breaker holds the jobs.
 */
export const confirmYookassaPayment = defineJob({
  ...confirmYookassaJob,
  attempts: 8,
  backoff: { kind: "exponential", delayMs: 1_000, maxDelayMs: 60_000 },
  timeoutMs: 60_000,
});
