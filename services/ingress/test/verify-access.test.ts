import { X509Certificate } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import vectors from "./fixtures/public-key-vectors.json" with { type: "json" };
import { judge, type RequestParts, sourceOf } from "./signed.ts";

const basicOf = (credentials: string) => `Basic ${Buffer.from(credentials).toString("base64")}`;
const eventFrom = { eventId: { header: "X-Event-Id" }, eventType: { json: "/type" } };

/** How each of these is told who sends. */
const senders = [
  {
    name: "basic",
    source: sourceOf({ provider: "basic", secrets: ["ops:p4ss:word", "new:pässwörd"], options: eventFrom }),
    good: [basicOf("ops:p4ss:word"), basicOf("new:pässwörd"), basicOf("ops:p4ss:word").replace("Basic", "bAsIc")],
    bad: [
      [basicOf("ops:other"), "signature_mismatch"],
      [basicOf("ops"), "signature_mismatch"],
      [basicOf(""), "signature_mismatch"],
      [`${basicOf("ops:p4ss:word")} `, "signature_malformed"],
      [basicOf("new:pässwörd").replace(/=+$/, ""), "signature_malformed"],
      ["Basic", "signature_malformed"],
      ["Bearer ops:p4ss:word", "signature_malformed"],
    ],
    of: (value: string): RequestParts => ({ headers: { Authorization: value } }),
  },
  {
    name: "bearer",
    source: sourceOf({ provider: "bearer", secrets: ["t0ken", "new-token"], options: eventFrom }),
    good: ["Bearer t0ken", "bearer new-token"],
    bad: [
      ["Bearer t0ke", "signature_mismatch"],
      ["Bearer  t0ken", "signature_mismatch"],
      ["Bearer ", "signature_mismatch"],
      ["t0ken", "signature_malformed"],
      [basicOf("t0ken"), "signature_malformed"],
    ],
    of: (value: string): RequestParts => ({ headers: { authorization: value } }),
  },
  {
    name: "api-key in a header",
    source: sourceOf({ provider: "api-key", secrets: ["k3y", "new"], options: { header: "X-Api-Key", ...eventFrom } }),
    good: ["k3y", "new"],
    bad: [
      ["", "signature_mismatch"],
      ["K3y", "signature_mismatch"],
      ["k3y,new", "signature_mismatch"],
    ],
    of: (value: string): RequestParts => ({ headers: { "x-api-key": value } }),
  },
  {
    name: "api-key in the query",
    source: sourceOf({ provider: "api-key", secrets: ["k3y&ö", "new"], options: { query: "key", ...eventFrom } }),
    good: ["k3y&ö", "new"],
    bad: [
      ["", "signature_mismatch"],
      ["k3y&ö ", "signature_mismatch"],
    ],
    of: (value: string): RequestParts => ({ url: `/webhooks/test?a=1&key=${encodeURIComponent(value)}` }),
  },
] as const;

describe.for(senders)("under $name", ({ source, good, bad, of }) => {
  test("any of the current secrets is taken, and the event is known as configured", () => {
    for (const value of good) {
      const { headers = {}, ...parts } = of(value);
      const body = '{"type":"order.paid"}';
      const verdict = judge(source, { ...parts, headers: { ...headers, "x-event-id": "e-1" }, body });
      expect(verdict).toMatchObject({ kind: "verified", dedupeKey: "e-1", eventId: "e-1", eventType: "order.paid" });
    }
  });

  test("anything else is refused", () => {
    for (const [value, cause] of bad) expect(judge(source, of(value))).toEqual({ kind: "rejected", cause });
    expect(judge(source, {})).toEqual({ kind: "rejected", cause: "signature_missing" });
  });

  test("whatever is sent, nothing throws", () => {
    const text = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
    fc.assert(
      fc.property(text, (value) => {
        expect(judge(source, of(value)).kind).toBe("rejected");
        expect(judge(source, { url: `/?${value}`, headers: { authorization: value } }).kind).toBe("rejected");
      }),
    );
  });
});

test("credentials that are given twice are refused", () => {
  for (const { source, good, of } of senders) {
    const { headers = {}, url } = of(good[0]);
    const once = Object.entries(headers).flat();
    const parts = url === undefined ? { rawHeaders: [...once, ...once] } : { url: `${url}&key=new` };
    expect(judge(source, parts)).toEqual({ kind: "rejected", cause: "header_repeated" });
  }
});

test.for([
  [{ provider: "basic", secrets: ["no-colon"] }, "is not user:password"],
  [{ provider: "basic", secrets: [":x"] }, "is not user:password"],
  [{ provider: "postmark", secrets: ["user:"] }, "is not user:password"],
  [{ provider: "bearer", secrets: [""] }, "is empty"],
  [{ provider: "api-key", secrets: ["k"] }, "either header or query"],
  [{ provider: "api-key", secrets: ["k"], options: { header: "a", query: "b" } }, "either header or query"],
  [{ provider: "addresses" }, "addresses"],
  [{ provider: "addresses", options: { addresses: ["x"] } }, "neither an address"],
  [{ provider: "mtls", options: { header: "a", allowed: ["b"] } }, "proxies"],
  [
    { provider: "paypal", secrets: ["nonsense"], options: { webhookId: "W" } },
    "neither a certificate nor a public key",
  ],
  [{ provider: "sendgrid", secrets: [vectors.certificate] }, "curve P-256"],
  [{ provider: "square", secrets: ["k"], options: { publicUrl: "hooks.example.com" } }, "the whole address"],
  [{ provider: "twilio", secrets: ["k"], options: { publicUrl: "https://a.example/#b" } }, "the whole address"],
  [{ provider: "aws-sns", secrets: [vectors.certificate] }, "topics"],
  [{ provider: "adyen", secrets: ["xyz"] }, "is not hexadecimal"],
] as const)("a source such as %j is refused at start: %s", ([settings, says]) => {
  expect(() => sourceOf(settings)).toThrow(says);
});

describe("a sender known by its address", () => {
  const source = sourceOf({ provider: "addresses", options: { addresses: ["192.0.2.0/28", "2001:db8::/32"] } });
  test.for([
    ["192.0.2.15", undefined],
    ["2001:db8::1", undefined],
    ["192.0.2.16", "address_not_allowed"],
    ["2001:db9::1", "address_not_allowed"],
    [undefined, "address_unknown"],
  ] as const)("from %s: %s", ([clientAddress, cause]) => {
    const verdict = judge(source, { clientAddress });
    expect(verdict.kind === "rejected" ? verdict.cause : undefined).toBe(cause);
  });
});

const send = (value: string, more: RequestParts = {}): RequestParts => ({
  peerAddress: "::ffff:10.1.2.3",
  headers: { "x-client-verify": "SUCCESS", "x-client": value },
  ...more,
});

describe("a client certificate that a proxy has checked", () => {
  const checked = { header: "X-Client-Verify", value: "SUCCESS" };
  const of = (form: string, allowed: string) =>
    sourceOf({
      provider: "mtls",
      options: { proxies: ["10.0.0.0/8"], header: "X-Client", form, allowed: [allowed], checked },
    });
  const subject = of("text", "CN=shop,O=Example");
  const pem = of("pem", vectors.fingerprint.toLowerCase());
  const xfcc = of("xfcc", vectors.fingerprint);
  const hash = new X509Certificate(vectors.certificate).fingerprint256.replaceAll(":", "").toLowerCase();

  test("is known by its subject, by itself, or by Envoy's header", () => {
    expect(judge(subject, send("CN=shop,O=Example")).kind).toBe("verified");
    expect(judge(pem, send(encodeURIComponent(vectors.certificate))).kind).toBe("verified");
    expect(judge(xfcc, send(`By=spiffe://a;Hash=${hash};Subject="CN=\\"x\\",Hash=00;O=y"`)).kind).toBe("verified");
  });

  test("counts only from a trusted proxy, and when it says that it has checked", () => {
    const good = "CN=shop,O=Example";
    expect(judge(subject, send(good, { peerAddress: "192.0.2.1" }))).toEqual({
      kind: "rejected",
      cause: "address_not_allowed",
    });
    expect(judge(subject, send(good, { peerAddress: "nowhere" }))).toEqual({
      kind: "rejected",
      cause: "address_unknown",
    });
    expect(judge(subject, send(good, { headers: { "x-client": good } }))).toMatchObject({ cause: "signature_missing" });
    const failed = { "x-client-verify": "FAILED:expired", "x-client": good };
    expect(judge(subject, send(good, { headers: failed }))).toMatchObject({ cause: "signature_mismatch" });
    const rawHeaders = ["X-Client-Verify", "SUCCESS", "X-Client", good, "x-client", good];
    expect(judge(subject, { peerAddress: "10.0.0.1", rawHeaders })).toMatchObject({ cause: "header_repeated" });
  });

  test.for([
    ["another subject", subject, "CN=shop,O=Other", "signature_mismatch"],
    ["no name", subject, "", "signature_missing"],
    ["no certificate", pem, "nonsense", "signature_malformed"],
    ["a broken encoding", pem, "%E0%A4%A", "signature_malformed"],
    ["Envoy's header without a hash", xfcc, "By=spiffe://a", "signature_malformed"],
    ["another hash", xfcc, "Hash=00", "signature_mismatch"],
    ["the hash in an element that the client may have written", xfcc, `Hash=${hash},Hash=00`, "signature_mismatch"],
    ["two hashes", xfcc, `Hash=${hash};Hash=00`, "signature_malformed"],
    ["the hash inside quotes", xfcc, `Subject="a;Hash=${hash}"`, "signature_malformed"],
    ["a quote that never ends", xfcc, `Hash=${hash};Subject="a`, "signature_malformed"],
  ] as const)("is refused with %s", ([, source, value, cause]) => {
    expect(judge(source, send(value))).toEqual({ kind: "rejected", cause });
  });
});
