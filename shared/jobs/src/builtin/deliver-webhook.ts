import { deliverWebhookJob, endpointBreaker, publishWebhookJob } from "@warren/contracts";
import { defineJob } from "../define.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/**
 * Delays after the first, second … failed attempt. Source: Standard Webhooks, "Deliverability and reliability"
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
 */
const scheduleMs: readonly number[] = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
];

const jitter = 0.1;

/**
 * The delay after failed attempt number `attempt` (from 1) by the specification's schedule, or another one: up to 10 % longer, so that what
 * failed together does not come back together. `"stop"` past its end. Pure.
 */
export function webhookRetryDelayMs(
  attempt: number,
  random: () => number,
  schedule: readonly number[] = scheduleMs,
): number | "stop" {
  const delayMs = schedule[attempt - 1];
  return delayMs === undefined ? "stop" : Math.round(delayMs * (1 + jitter * random()));
}

const mostBytes = 1_048_576;

/**
 * `deliver-webhook`: one event to one endpoint, signed (Standard Webhooks). Ten attempts over three days; the endpoint's breaker holds its
 * deliveries, its id is their key for limits.
 */
export const deliverWebhook = defineJob({
  ...deliverWebhookJob,
  attempts: scheduleMs.length + 1,
  backoff: ({ attempt }) => webhookRetryDelayMs(attempt, Math.random),
  timeoutMs: 60_000,
  // an answer that came and was lost with its worker says nothing against the endpoint
  maxStalls: 10,
  maxPayloadBytes: mostBytes,
  bundleSize: 1,
  key: ({ endpoint }) => endpoint,
  breakers: ({ endpoint }) => [endpointBreaker(endpoint)],
});

/** `publish-webhook`: one event to every endpoint that wants its type, each by a `deliver-webhook` of its own. */
export const publishWebhook = defineJob({
  ...publishWebhookJob,
  attempts: 20,
  backoff: { kind: "exponential", delayMs: 1_000, maxDelayMs: 300_000 },
  timeoutMs: 60_000,
  maxPayloadBytes: mostBytes,
});
