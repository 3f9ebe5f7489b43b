import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import { judge, nowSeconds, sourceOf, standardHeaders, standardSecret } from "./signed.ts";

const source = sourceOf({ provider: "standard-webhooks", secrets: [standardSecret] });
const body = '{"type":"invoice.paid","timestamp":"2026-11-22T12:00:00Z","data":{"id":"in_1"}}';
const headers = standardHeaders("msg_1", body);

describe("a Standard Webhooks request", () => {
  test("signed by the reference library is verified, with id and type", () => {
    expect(judge(source, { headers, body })).toMatchObject({
      kind: "verified",
      dedupeKey: "msg_1",
      eventId: "msg_1",
      eventType: "invoice.paid",
    });
  });

  test("is verified with the signature that the specification's library uses as its example", () => {
    const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const example = sourceOf({ provider: "standard-webhooks", secrets: [secret] });
    const sent = {
      "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "webhook-timestamp": "1614265330",
      "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    };
    expect(judge(example, { headers: sent, body: '{"test": 2432232314}' }, 1_614_265_330_000).kind).toBe("verified");
  });

  test("is verified under Svix's header names", () => {
    const svix = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.replace("webhook-", "Svix-"), value]),
    );
    expect(judge(source, { headers: svix, body }).kind).toBe("verified");
  });

  test("cannot mix Svix's header names with the standard's", () => {
    const mixed = {
      "svix-id": "msg_1",
      "webhook-timestamp": headers["webhook-timestamp"] ?? "",
      "webhook-signature": headers["webhook-signature"] ?? "",
    };
    expect(judge(source, { headers: mixed, body })).toEqual({ kind: "rejected", cause: "signature_missing" });
  });

  test("is verified when any of its signatures is right", () => {
    const right = headers["webhook-signature"] ?? "";
    const other = new Webhook(Buffer.from("another key").toString("base64")).sign(
      "msg_1",
      new Date(nowSeconds * 1000),
      body,
    );
    const several = { ...headers, "webhook-signature": `${other} v1a,AAAA ${right}` };
    expect(new Webhook(standardSecret).sign("msg_1", new Date(nowSeconds * 1000), body)).toBe(right);
    expect(judge(source, { headers: several, body }).kind).toBe("verified");
  });

  test("of a payload that is not JSON is verified, without a type", () => {
    const text = "plain";
    expect(judge(source, { headers: standardHeaders("msg_2", text), body: text })).toMatchObject({
      kind: "verified",
      eventType: undefined,
    });
  });

  test.for([
    { when: "another id is claimed", change: { "webhook-id": "msg_2" }, cause: "signature_mismatch" },
    { when: "its id is empty", change: { "webhook-id": "" }, cause: "signature_missing" },
    {
      when: "only asymmetric signatures are given",
      change: { "webhook-signature": "v1a,AAAA" },
      cause: "signature_malformed",
    },
    {
      when: "the signature lacks its padding",
      change: { "webhook-signature": (headers["webhook-signature"] ?? "").replace("=", "") },
      cause: "signature_mismatch",
    },
    { when: "it is too old", change: standardHeaders("msg_1", body, nowSeconds - 301), cause: "timestamp_too_old" },
    {
      when: "it is from the future",
      change: standardHeaders("msg_1", body, nowSeconds + 301),
      cause: "timestamp_in_future",
    },
  ])("is refused when $when", ({ change, cause }) => {
    expect(judge(source, { headers: { ...headers, ...change }, body })).toEqual({ kind: "rejected", cause });
  });

  test.for(["webhook-id", "webhook-timestamp", "webhook-signature"])("is refused when %s comes twice", (name) => {
    const rawHeaders = [...Object.entries(headers).flat(), name, headers[name] ?? ""];
    expect(judge(source, { rawHeaders, body })).toEqual({ kind: "rejected", cause: "header_repeated" });
  });
});
