import { confirmSnsJob } from "@warren/contracts";
import { defineJob } from "../define.ts";

/**
 * `confirm-sns-subscription`: confirms that a topic of AWS SNS may send here. Its token holds for three days, and so long it is tried.
 * Source: https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.confirm.html
 */
export const confirmSnsSubscription = defineJob({
  ...confirmSnsJob,
  attempts: 30,
  backoff: { kind: "exponential", delayMs: 1_000, maxDelayMs: 10_800_000 },
  timeoutMs: 60_000,
});
