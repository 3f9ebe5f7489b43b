import { describe, expect, test } from "vitest";
import { endpointChange, newEndpoint } from "../src/index.ts";

const url = "https://hooks.example.com/in?tenant=1";

test("an endpoint is its URL, and defaults", () => {
  expect(newEndpoint.parse({ url })).toMatchObject({
    url,
    eventTypes: [],
    format: "standard",
    timeoutMs: 15_000,
    rate: null,
    headers: {},
    secret: { kind: "v1" },
  });
});

test("a change names what it changes, and nothing else", () => {
  expect(endpointChange.parse({ rate: null })).toEqual({ rate: null });
});

describe("an endpoint is refused", () => {
  test.for<readonly [why: string, fields: object]>([
    ["with another scheme", { url: "ftp://example.com/" }],
    ["with a user in its URL", { url: "https://user@example.com/" }],
    ["with a password in its URL", { url: "https://:secret@example.com/" }],
    ["with a fragment", { url: "https://example.com/#part" }],
    ["without a host", { url: "https://" }],
    ["with a line break in its URL", { url: "https://example.com/\r\nX: y" }],
    ["with U+0000 in its URL", { url: "https://example.com/\u0000" }],
    ["with an endless URL", { url: `https://example.com/${"x".repeat(2_000)}` }],
    ["with an unknown field", { colour: "red" }],
    ["with a header that is Warren's", { headers: { "Webhook-Signature": "v1,x" } }],
    ["with a header that is HTTP's", { headers: { "Transfer-Encoding": "chunked" } }],
    ["with a line break in a header", { headers: { "X-A": "b\r\nX-B: c" } }],
    ["with a header of no name", { headers: { "": "x" } }],
    ["with too many headers", { headers: Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`X-${n}`, "1"])) }],
    ["with a type that has a space", { eventTypes: ["invoice paid"] }],
    ["with no time at all", { timeoutMs: 0 }],
    ["with endless time", { timeoutMs: 60_000 }],
    ["with a rate of nothing", { rate: { limit: 0, perMs: 1_000 } }],
    ["with a short secret", { secret: { secret: "whsec_c2hvcnQ=" } }],
    ["with a secret of another form", { secret: { secret: "sesame".repeat(10) } }],
    ["with a proxy that has a path", { proxyUrl: "http://proxy.internal:3128/path" }],
    ["with a local address that is none", { localAddress: "eth0" }],
  ])("%s", ([, fields]) => {
    expect(newEndpoint.safeParse({ url, ...fields }).success).toBe(false);
  });
});
