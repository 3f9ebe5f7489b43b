import {
  confirmYookassaPayment,
  deliverWebhook,
  type JobDefinition,
  publishWebhook,
  sendTemplateEmail,
} from "@warren/jobs";

/**
 * Jobs that rules made at run time may name without saying more: their queue and policy are known, and payloads are checked before anything
 * is made. Add yours. Other jobs can be named with their queue; their worker checks the payload.
 */
export const knownJobs: readonly JobDefinition[] = [
  sendTemplateEmail,
  confirmYookassaPayment,
  deliverWebhook,
  publishWebhook,
];
