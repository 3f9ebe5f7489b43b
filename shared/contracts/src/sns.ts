import { z } from "zod";

/** Payload of the job `confirm-sns-subscription`: what a proven `SubscriptionConfirmation` of AWS SNS says. */
export const confirmSnsPayload = z.object({
  topicArn: z.string().regex(/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256}$/),
  /** Of SNS itself; checked by whoever proved the message, and again before it is fetched. */
  subscribeUrl: z.string().max(2_000),
});

/** Result of that job: the subscription's ARN as SNS tells it. */
export const confirmSnsResult = z.object({ subscriptionArn: z.string().optional() });

/** Name, queue and shapes of the job: what its producer and its consumer share. */
export const confirmSnsJob = {
  name: "confirm-sns-subscription",
  queue: "deliveries",
  version: 1,
  payload: confirmSnsPayload,
  result: confirmSnsResult,
} as const;

const host = /^sns\.[a-z0-9-]{3,}\.amazonaws\.com(?:\.cn)?$/;

/** Whether this is an address at which SNS itself confirms subscriptions: over TLS, without port or credentials. */
export function isSnsSubscribeUrl(text: string): boolean {
  if (text.length > 2_000 || !URL.canParse(text)) return false;
  const { protocol, port, username, password, hostname, pathname } = new URL(text);
  const isPlain = protocol === "https:" && port === "" && username === "" && password === "";
  return isPlain && host.test(hostname) && pathname === "/";
}
