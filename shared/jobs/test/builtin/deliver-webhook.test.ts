import { assert, double, integer, property } from "fast-check";
import { expect, test } from "vitest";
import { deliverWebhook, webhookRetryDelayMs } from "../../src/builtin/deliver-webhook.ts";
import { prepare } from "../../src/enqueue/draft.ts";

const hours = 3_600_000;

test("retries follow the schedule of Standard Webhooks", () => {
  const delays = Array.from({ length: 10 }, (_, index) => webhookRetryDelayMs(index + 1, () => 0));
  expect(delays).toEqual([
    5_000,
    300_000,
    1_800_000,
    2 * hours,
    5 * hours,
    10 * hours,
    14 * hours,
    20 * hours,
    24 * hours,
    "stop",
  ]);
  expect(deliverWebhook.attempts).toBe(10);
});

test("no delay is shorter than the schedule's, nor more than a tenth longer", () => {
  assert(
    property(
      integer({ min: 1, max: 9 }),
      double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, random) => {
        const least = Number(webhookRetryDelayMs(attempt, () => 0));
        const delay = Number(webhookRetryDelayMs(attempt, () => random));
        expect(delay).toBeGreaterThanOrEqual(least);
        expect(delay).toBeLessThanOrEqual(least * 1.1 + 1);
      },
    ),
  );
});

test("a delivery goes by its endpoint: key and breaker", () => {
  const endpoint = "0199a1b2-0000-7000-8000-000000000001";
  const row = prepare(deliverWebhook, {
    endpoint,
    eventType: "invoice.paid",
    eventId: "evt_1",
    createdAt: "2026-11-22T10:00:00Z",
    payload: { amount: 1 },
  });
  expect(row).toMatchObject({ queue: "deliveries", limitKey: endpoint, breakers: [`endpoint:${endpoint}`] });
});
