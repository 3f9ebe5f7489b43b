import { createHash } from "node:crypto";
import { Stripe } from "stripe";
import { describe, expect, test } from "vitest";
import { hmacHex, judge, nowMs, nowSeconds, sourceOf, stripeHeader, stripeSecret } from "./signed.ts";

const source = sourceOf({ provider: "stripe", secrets: [stripeSecret] });
const body = JSON.stringify({
  id: "evt_1",
  object: "event",
  type: "charge.refunded",
  data: { object: { id: "ch_1" } },
});

function accepted(header: string, at = nowMs): boolean {
  return judge(source, { headers: { "Stripe-Signature": header }, body }, at).kind === "verified";
}

function acceptedByStripe(header: string, at = nowMs): boolean {
  try {
    Stripe.webhooks.constructEvent(body, header, stripeSecret, 300, undefined, at);
    return true;
  } catch {
    return false;
  }
}

function headersAt(secret: string, at: number): Record<string, string> {
  return { "Stripe-Signature": stripeHeader(body, secret, at / 1000) };
}

describe("a Stripe webhook", () => {
  test("signed by Stripe's SDK is verified, with the event's id and type", () => {
    const header = stripeHeader(body);
    expect(acceptedByStripe(header)).toBe(true);
    expect(judge(source, { headers: { "Stripe-Signature": header }, body })).toMatchObject({
      kind: "verified",
      dedupeKey: "evt_1",
      eventId: "evt_1",
      eventType: "charge.refunded",
    });
  });

  test.for([
    { when: "it is as old as the tolerance", header: stripeHeader(body, stripeSecret, nowSeconds - 300) },
    { when: "it is older than the tolerance", header: stripeHeader(body, stripeSecret, nowSeconds - 301) },
    { when: "another secret signed it", header: stripeHeader(body, "whsec_other") },
    { when: "another body was signed", header: stripeHeader(`${body} `) },
    {
      when: "the right signature is the last of several",
      header: stripeHeader(body).replace(",v1=", `,v1=${"0".repeat(64)},v1=`),
    },
    { when: "the right signature is the first of several", header: `${stripeHeader(body)},v1=${"0".repeat(64)}` },
    { when: "only the test scheme is signed", header: stripeHeader(body).replace("v1=", "v0=") },
    { when: "the test scheme stands beside the real one", header: `${stripeHeader(body)},v0=${"0".repeat(64)}` },
    { when: "there is no time", header: stripeHeader(body).replace(/^t=\d+,/, "") },
    { when: "the header is empty", header: "" },
  ])("is judged as Stripe's SDK judges it when $when", ({ header }) => {
    expect(accepted(header)).toBe(acceptedByStripe(header));
  });

  test("from the future is refused, which Stripe's SDK lets pass", () => {
    const header = stripeHeader(body, stripeSecret, nowSeconds + 301);
    expect(acceptedByStripe(header)).toBe(true);
    expect(judge(source, { headers: { "Stripe-Signature": header }, body })).toEqual({
      kind: "rejected",
      cause: "timestamp_in_future",
    });
    expect(accepted(stripeHeader(body, stripeSecret, nowSeconds + 300))).toBe(true);
  });

  test.for([
    { when: "its time is no number", header: `t=soon,v1=${"0".repeat(64)}`, cause: "timestamp_malformed" },
    { when: "its time has a sign", header: `t=+${nowSeconds},v1=${"0".repeat(64)}`, cause: "timestamp_malformed" },
    { when: "it has two times", header: `t=1,t=${nowSeconds},v1=${"0".repeat(64)}`, cause: "signature_malformed" },
    { when: "it has no signature", header: `t=${nowSeconds}`, cause: "signature_missing" },
  ])("is refused when $when", ({ header, cause }) => {
    expect(judge(source, { headers: { "Stripe-Signature": header }, body })).toEqual({ kind: "rejected", cause });
  });

  test("that is authentic is kept though it is no event, and its bytes are its key", () => {
    for (const text of ["[]", "null", "not json", '{"type":"x"}', '{"id":7,"type":"x"}']) {
      expect(judge(source, { headers: { "Stripe-Signature": stripeHeader(text) }, body: text })).toMatchObject({
        kind: "verified",
        dedupeKey: `sha256:${createHash("sha256").update(text).digest("hex")}`,
        eventId: undefined,
      });
    }
  });

  test("is verified under any of the secrets that are current, and under no other", () => {
    const rotating = sourceOf({
      provider: "stripe",
      secrets: [
        { value: "old", notAfter: "2026-11-22T12:00:00Z" },
        { value: "new", notBefore: "2026-11-22T11:00:00Z" },
      ],
    });
    const hour = 3_600_000;
    const kinds = (secret: string, at: number) => judge(rotating, { headers: headersAt(secret, at), body }, at).kind;
    expect([kinds("old", nowMs - 2 * hour), kinds("new", nowMs - 2 * hour)]).toEqual(["verified", "rejected"]);
    expect([kinds("old", nowMs), kinds("new", nowMs)]).toEqual(["verified", "verified"]);
    expect([kinds("old", nowMs + hour), kinds("new", nowMs + hour)]).toEqual(["rejected", "verified"]);
  });

  test("cannot be judged while no secret is current, so the sender is asked to come again", () => {
    const expired = sourceOf({ provider: "stripe", secrets: [{ value: "old", notAfter: "2026-01-01T00:00:00Z" }] });
    const headers = { "Stripe-Signature": `t=${nowSeconds},v1=${hmacHex("old", `${nowSeconds}.${body}`)}` };
    expect(judge(expired, { headers, body })).toEqual({ kind: "unavailable" });
  });
});
