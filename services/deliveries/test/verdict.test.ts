import { assert, constantFrom, integer, option, property, record } from "fast-check";
import { describe, expect, test } from "vitest";
import type { Exchange } from "../src/exchange.ts";
import { judge } from "../src/verdict.ts";

const policy = { restMs: 30_000, maxRestMs: 3_600_000 };
const answered = (status: number, retryAfterMs?: number): Exchange => ({
  kind: "answered",
  status,
  headers: [],
  body: Buffer.alloc(0),
  truncated: false,
  retryAfterMs,
  durationMs: 1,
});
const unanswered = (reason: "DELIVERY_TIMEOUT" | "DELIVERY_UNREACHABLE" | "ENDPOINT_ADDRESS_REFUSED"): Exchange => ({
  kind: "unanswered",
  reason,
  detail: "why",
  durationMs: 1,
});
const nothing = { outage: false, restMs: undefined, retryAfterMs: 0, gone: false };

test.for<{ when: string; exchange: Exchange; verdict: object }>([
  { when: "200", exchange: answered(200), verdict: { kind: "delivered" } },
  { when: "204", exchange: answered(204), verdict: { kind: "delivered" } },
  { when: "a redirect", exchange: answered(302), verdict: { reason: "DELIVERY_REDIRECTED", ...nothing } },
  { when: "304", exchange: answered(304), verdict: { reason: "DELIVERY_REDIRECTED", ...nothing } },
  { when: "a refusal", exchange: answered(400), verdict: { reason: "DELIVERY_STATUS", ...nothing } },
  { when: "gone", exchange: answered(410), verdict: { ...nothing, gone: true } },
  { when: "408", exchange: answered(408), verdict: { ...nothing, outage: true } },
  { when: "429", exchange: answered(429), verdict: { ...nothing, outage: true, restMs: 30_000 } },
  {
    when: "429 with Retry-After",
    exchange: answered(429, 5_000),
    verdict: { ...nothing, outage: true, restMs: 5_000, retryAfterMs: 5_000 },
  },
  {
    when: "429 that asks for a day",
    exchange: answered(429, 86_400_000),
    verdict: { ...nothing, outage: true, restMs: 3_600_000, retryAfterMs: 86_400_000 },
  },
  { when: "500", exchange: answered(500), verdict: { ...nothing, outage: true } },
  { when: "502", exchange: answered(502), verdict: { ...nothing, outage: true, restMs: 30_000 } },
  { when: "503", exchange: answered(503), verdict: { ...nothing, outage: true } },
  {
    when: "503 with Retry-After",
    exchange: answered(503, 9_000),
    verdict: { ...nothing, outage: true, restMs: 9_000, retryAfterMs: 9_000 },
  },
  { when: "504", exchange: answered(504), verdict: { ...nothing, outage: true, restMs: 30_000 } },
  { when: "no answer", exchange: unanswered("DELIVERY_TIMEOUT"), verdict: { ...nothing, outage: true } },
  { when: "no connection", exchange: unanswered("DELIVERY_UNREACHABLE"), verdict: { ...nothing, outage: true } },
  { when: "a refused address", exchange: unanswered("ENDPOINT_ADDRESS_REFUSED"), verdict: nothing },
])("after $when it decides by the table", ({ exchange, verdict }) => {
  expect(judge(exchange, policy)).toMatchObject(verdict);
});

describe("whatever an endpoint answers", () => {
  test("only 2xx is success, and no rest is longer than allowed", () => {
    const anyAnswer = record({
      status: integer({ min: 100, max: 999 }),
      retryAfterMs: option(integer({ min: 0, max: 2 ** 31 }), { nil: undefined }),
    });
    assert(
      property(anyAnswer, constantFrom(1, 60_000), ({ status, retryAfterMs }, maxRestMs) => {
        const verdict = judge(answered(status, retryAfterMs), { restMs: 1, maxRestMs });
        expect(verdict.kind === "delivered").toBe(status >= 200 && status < 300);
        expect(verdict.kind === "failed" ? (verdict.restMs ?? 0) : 0).toBeLessThanOrEqual(maxRestMs);
      }),
    );
  });
});
