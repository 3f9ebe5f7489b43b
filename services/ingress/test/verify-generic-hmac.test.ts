import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { hmacHex, judge, nowSeconds, type RequestParts, sourceOf } from "./signed.ts";

const body = '{"id":"Ev1","event":{"type":"message"},"n":7}';
const slack = {
  header: "X-Slack-Signature",
  prefix: "v0=",
  content: "v0:{timestamp}:{body}",
  timestamp: { header: "X-Slack-Request-Timestamp" },
  eventId: { json: "/id" },
  eventType: { json: "/event/type" },
};

function source(options: Readonly<Record<string, unknown>>, ...secrets: readonly unknown[]) {
  return sourceOf({ provider: "hmac", secrets: secrets.length === 0 ? ["s3cret"] : secrets, options });
}

function keyOf(text: string): string {
  const verdict = judge(source({ header: "sig" }), { headers: { sig: hmacHex("s3cret", text) }, body: text });
  return verdict.kind === "verified" ? verdict.dedupeKey : verdict.kind;
}

describe("a webhook under a configured HMAC scheme", () => {
  test.for<{ scheme: string; options: Record<string, unknown>; secret?: string; parts: RequestParts }>([
    {
      scheme: "hex of the body",
      options: { header: "x-sig" },
      parts: { headers: { "X-Sig": hmacHex("s3cret", body) } },
    },
    {
      scheme: "base64 of the body, as Shopify's",
      options: { header: "X-Shopify-Hmac-Sha256", encoding: "base64" },
      parts: { headers: { "x-shopify-hmac-sha256": createHmac("sha256", "s3cret").update(body).digest("base64") } },
    },
    {
      scheme: "version, time and body, as Slack's",
      options: slack,
      parts: {
        headers: {
          "x-slack-signature": `v0=${hmacHex("s3cret", `v0:${nowSeconds}:${body}`)}`,
          "x-slack-request-timestamp": String(nowSeconds),
        },
      },
    },
    {
      scheme: "SHA-512, several signatures, a time in milliseconds",
      options: {
        header: "sig",
        algorithm: "sha512",
        separator: ",",
        content: "{timestamp}\n{body}",
        timestamp: { header: "at", unit: "ms" },
      },
      parts: {
        headers: {
          at: String(nowSeconds * 1000 + 5),
          sig: `0000, ${createHmac("sha512", "s3cret")
            .update(`${nowSeconds * 1000 + 5}\n${body}`)
            .digest("hex")}`,
        },
      },
    },
    {
      scheme: "method, path and a header, under a hexadecimal key",
      options: { header: "sig", secretEncoding: "hex", content: "{method}{url}{header:x-nonce}{body}" },
      secret: "00ff10",
      parts: {
        url: "/webhooks/test?a=1",
        headers: {
          "X-Nonce": "n",
          sig: createHmac("sha256", Buffer.from("00ff10", "hex"))
            .update(`POST/webhooks/test?a=1n${body}`)
            .digest("hex"),
        },
      },
    },
  ])("is verified with $scheme", ({ options, secret, parts }) => {
    const configured = secret === undefined ? source(options) : source(options, secret);
    expect(judge(configured, { ...parts, body }).kind).toBe("verified");
    expect(judge(configured, { ...parts, body: `${body} ` })).toEqual({
      kind: "rejected",
      cause: "signature_mismatch",
    });
  });

  test("tells id and type from where the configuration says they stand", () => {
    const headers = {
      "x-slack-signature": `v0=${hmacHex("s3cret", `v0:${nowSeconds}:${body}`)}`,
      "x-slack-request-timestamp": String(nowSeconds),
    };
    expect(judge(source(slack), { headers, body })).toMatchObject({
      eventId: "Ev1",
      eventType: "message",
      dedupeKey: "Ev1",
    });
    const byHeader = source({ header: "sig", eventId: { header: "x-id" }, eventType: { json: "/n" } });
    expect(judge(byHeader, { headers: { sig: hmacHex("s3cret", body), "X-Id": "7" }, body })).toMatchObject({
      eventId: "7",
      eventType: "7",
    });
  });

  test("without an id is the same event when it has the same bytes", () => {
    expect(keyOf("a")).toBe(keyOf("a"));
    expect(keyOf("a")).not.toBe(keyOf("b"));
  });

  test.for([
    { when: "the time is too old", at: nowSeconds - 301, cause: "timestamp_too_old" },
    { when: "the time lies ahead", at: nowSeconds + 301, cause: "timestamp_in_future" },
  ])("is refused when $when", ({ at, cause }) => {
    const headers = {
      "x-slack-signature": `v0=${hmacHex("s3cret", `v0:${at}:${body}`)}`,
      "x-slack-request-timestamp": String(at),
    };
    expect(judge(source(slack), { headers, body })).toEqual({ kind: "rejected", cause });
  });

  test.for([
    { when: "the prefix is missing", headers: { sig: hmacHex("s3cret", body) }, cause: "signature_malformed" },
    { when: "the header is missing", headers: {}, cause: "signature_missing" },
  ])("is refused when $when", ({ headers, cause }) => {
    expect(judge(source({ header: "sig", prefix: "v1=" }), { headers, body })).toEqual({ kind: "rejected", cause });
  });

  test("is refused when a header that is part of the signed content comes twice", () => {
    const signed = source({ header: "sig", content: "{header:x-nonce}.{body}" });
    const rawHeaders = ["sig", hmacHex("s3cret", `a.${body}`), "x-nonce", "a", "X-Nonce", "b"];
    expect(judge(signed, { rawHeaders, body })).toEqual({ kind: "rejected", cause: "header_repeated" });
  });

  test.for([
    {
      mistake: "the body is not signed",
      options: { header: "sig", content: "{timestamp}", timestamp: { header: "at" } },
      word: "{body}",
    },
    { mistake: "the time is not signed", options: { header: "sig", timestamp: { header: "at" } }, word: "{timestamp}" },
    { mistake: "an option is unknown", options: { header: "sig", algoritm: "sha256" }, word: "algoritm" },
    {
      mistake: "a value stands in two places",
      options: { header: "sig", eventId: { header: "a", json: "/b" } },
      word: "either",
    },
  ])("cannot be configured so that $mistake", ({ options, word }) => {
    expect(() => source(options)).toThrow(word);
  });
});
