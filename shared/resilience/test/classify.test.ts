import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { classifyNetworkError, classifyStatus, ProviderError, parseRetryAfter } from "../src/index.ts";

const facts = { provider: "acme", operation: "pay" };

describe("a status", () => {
  test.for([
    { status: 200, code: undefined, retryable: undefined },
    { status: 204, code: undefined, retryable: undefined },
    { status: 301, code: "PROVIDER_REJECTED", retryable: false },
    { status: 400, code: "PROVIDER_REJECTED", retryable: false },
    { status: 401, code: "PROVIDER_REJECTED", retryable: false },
    { status: 404, code: "PROVIDER_REJECTED", retryable: false },
    { status: 408, code: "PROVIDER_UNAVAILABLE", retryable: true },
    { status: 409, code: "PROVIDER_REJECTED", retryable: false },
    { status: 422, code: "PROVIDER_REJECTED", retryable: false },
    { status: 425, code: "PROVIDER_UNAVAILABLE", retryable: true },
    { status: 429, code: "PROVIDER_RATE_LIMITED", retryable: true },
    { status: 500, code: "PROVIDER_UNAVAILABLE", retryable: true },
    { status: 502, code: "PROVIDER_UNAVAILABLE", retryable: true },
    { status: 503, code: "PROVIDER_UNAVAILABLE", retryable: true },
    { status: 504, code: "PROVIDER_UNAVAILABLE", retryable: true },
  ])("$status means $code", ({ status, code, retryable }) => {
    const error = classifyStatus({ status, body: "secret body" }, facts);
    expect(error?.code).toBe(code);
    expect(error?.retryable).toBe(retryable);
    expect(JSON.stringify(error?.details ?? {})).not.toContain("secret body");
  });

  test("of a provider's own making can be named retryable", () => {
    expect(classifyStatus({ status: 409, body: undefined }, facts, [409])?.retryable).toBe(true);
  });
});

describe("a failure of the network", () => {
  test.for([
    { code: "ECONNREFUSED", effect: "none" },
    { code: "ENOTFOUND", effect: "none" },
    { code: "UND_ERR_CONNECT_TIMEOUT", effect: "none" },
    { code: "CERT_HAS_EXPIRED", effect: "none" },
    { code: "ECONNRESET", effect: "unknown" },
    { code: "UND_ERR_SOCKET", effect: "unknown" },
    { code: "EPIPE", effect: "unknown" },
  ])("$code leaves the effect $effect", ({ code, effect }) => {
    const error = classifyNetworkError(Object.assign(new Error("x"), { code }), facts);
    expect(error).toMatchObject({ code: "PROVIDER_UNAVAILABLE", effect, retryable: true });
  });

  test("is found in the cause and among several tried addresses", () => {
    const refused = Object.assign(new Error("x"), { code: "ECONNREFUSED" });
    expect(classifyNetworkError(new AggregateError([refused]), facts)).toBeInstanceOf(ProviderError);
    expect(classifyNetworkError(new Error("fetch failed", { cause: refused }), facts)).toBeInstanceOf(ProviderError);
  });

  test("is not what a mistake of our own is taken for", () => {
    const mistake = new TypeError("x is not a function");
    expect(classifyNetworkError(mistake, facts)).toBe(mistake);
  });
});

describe("Retry-After", () => {
  const now = Date.parse("2026-11-22T10:00:00Z");
  test.for([
    { header: "120", ms: 120_000 },
    { header: " 0 ", ms: 0 },
    { header: "1.5", ms: 1_500 },
    { header: "Sun, 22 Nov 2026 10:00:30 GMT", ms: 30_000 },
    { header: "Sunday, 22-Nov-26 10:00:30 GMT", ms: 30_000 },
    { header: "Sun, 22 Nov 2026 09:00:00 GMT", ms: 0 },
    { header: "999999999", ms: 86_400_000 },
    { header: "-5", ms: undefined },
    { header: "soon", ms: undefined },
    { header: "", ms: undefined },
    { header: undefined, ms: undefined },
  ])("$header is $ms ms", ({ header, ms }) => {
    expect(parseRetryAfter(header, now)).toBe(ms);
  });

  test("never yields a wait that is negative, endless or not a number", () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        const ms = parseRetryAfter(header, now);
        expect(ms === undefined || (ms >= 0 && ms <= 86_400_000)).toBe(true);
      }),
    );
  });
});
