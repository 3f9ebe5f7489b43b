import { describe, expect, test } from "vitest";
import { productSchemes } from "./product-schemes.ts";
import { judge, nowMs, type RequestParts, sourceOf } from "./signed.ts";

interface Case {
  readonly when: string;
  /** Headers instead of those signed; `undefined` takes one away. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly request?: RequestParts;
  readonly afterMs?: number;
  /** Options of the source instead of those signed for. */
  readonly options?: Readonly<Record<string, unknown>>;
  readonly cause: string;
}

const minute = 60_000;
const untimely = (pastMs: number): readonly Case[] => [
  { when: "it is too old", afterMs: pastMs + 1000, cause: "timestamp_too_old" },
  { when: "it comes from the future", afterMs: -5 * minute - 1000, cause: "timestamp_in_future" },
];

const paypalUrl = (url: string): Case => ({
  when: `its certificate is said to be at ${url}`,
  headers: { "paypal-cert-url": url },
  cause: "signature_malformed",
});

const cases: Readonly<Record<string, readonly Case[]>> = {
  "adyen-platform": [
    { when: "there is no signature", headers: { hmacsignature: undefined }, cause: "signature_missing" },
    { when: "the signature is short", headers: { hmacsignature: "AAAA" }, cause: "signature_malformed" },
  ],
  dropbox: [
    { when: "there is no signature", headers: { "x-dropbox-signature": undefined }, cause: "signature_missing" },
    { when: "the signature is empty", headers: { "x-dropbox-signature": "" }, cause: "signature_malformed" },
  ],
  "hubspot v3": [
    {
      when: "it has only the older signature",
      headers: { "x-hubspot-signature-v3": undefined, "x-hubspot-signature": "0".repeat(64) },
      cause: "signature_missing",
    },
    { when: "the time is missing", headers: { "x-hubspot-request-timestamp": undefined }, cause: "timestamp_missing" },
    { when: "the time is no number", headers: { "x-hubspot-request-timestamp": "now" }, cause: "timestamp_malformed" },
    {
      when: "the signature is long",
      headers: { "x-hubspot-signature-v3": "A".repeat(45) },
      cause: "signature_malformed",
    },
    { when: "the method is another", request: { method: "PUT" }, cause: "signature_mismatch" },
    { when: "the query is another", request: { url: "/webhooks/test?a=1" }, cause: "signature_mismatch" },
    { when: "the address is another", options: { publicUrl: "https://other.example/" }, cause: "signature_mismatch" },
    ...untimely(5 * minute),
  ],
  "hubspot v2": [
    { when: "there is no signature", headers: { "x-hubspot-signature": undefined }, cause: "signature_missing" },
    { when: "the signature is short", headers: { "x-hubspot-signature": "00" }, cause: "signature_malformed" },
    { when: "the method is another", request: { method: "PUT" }, cause: "signature_mismatch" },
  ],
  "hubspot v1": [
    { when: "there is no signature", headers: { "x-hubspot-signature": undefined }, cause: "signature_missing" },
  ],
  meta: [
    {
      when: "there is only the SHA-1 signature",
      headers: { "x-hub-signature-256": undefined, "x-hub-signature": `sha1=${"0".repeat(40)}` },
      cause: "signature_missing",
    },
    {
      when: "the signature names SHA-1",
      headers: { "x-hub-signature-256": `sha1=${"0".repeat(64)}` },
      cause: "signature_malformed",
    },
  ],
  pagerduty: [
    { when: "there is no signature", headers: { "x-pagerduty-signature": undefined }, cause: "signature_missing" },
    {
      when: "there are only signatures of another version",
      headers: { "x-pagerduty-signature": `v0=${"0".repeat(64)},v2=${"0".repeat(64)}` },
      cause: "signature_malformed",
    },
  ],
  paypal: [
    { when: "there is no signature", headers: { "paypal-transmission-sig": undefined }, cause: "signature_missing" },
    { when: "there is no transmission", headers: { "paypal-transmission-id": undefined }, cause: "signature_missing" },
    { when: "the transmission is empty", headers: { "paypal-transmission-id": "" }, cause: "signature_malformed" },
    {
      when: "the transmission holds a separator",
      headers: { "paypal-transmission-id": "a|b" },
      cause: "signature_malformed",
    },
    { when: "there is no time", headers: { "paypal-transmission-time": undefined }, cause: "timestamp_missing" },
    {
      when: "the time is a number",
      headers: { "paypal-transmission-time": "1700000000" },
      cause: "timestamp_malformed",
    },
    { when: "the algorithm is another", headers: { "paypal-auth-algo": "SHA1withRSA" }, cause: "signature_malformed" },
    { when: "the signature is no base64", headers: { "paypal-transmission-sig": "é" }, cause: "signature_malformed" },
    { when: "the signature is short", headers: { "paypal-transmission-sig": "AAAA" }, cause: "signature_mismatch" },
    { when: "the webhook is another", options: { webhookId: "OTHER" }, cause: "signature_mismatch" },
    paypalUrl("http://api.paypal.com/v1/notifications/certs/CERT-1"),
    paypalUrl("https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1"),
    paypalUrl("https://evilpaypal.com/v1/notifications/certs/CERT-1"),
    paypalUrl("https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1"),
    paypalUrl("https://api.paypal.com:8443/v1/notifications/certs/CERT-1"),
    paypalUrl("https://api.paypal.com/redirect?to=/v1/notifications/certs/CERT-1"),
    paypalUrl("nonsense"),
    ...untimely(259_500_000),
  ],
  sendgrid: [
    {
      when: "there is no signature",
      headers: { "x-twilio-email-event-webhook-signature": undefined },
      cause: "signature_missing",
    },
    {
      when: "there is no time",
      headers: { "x-twilio-email-event-webhook-timestamp": undefined },
      cause: "timestamp_missing",
    },
    {
      when: "the signature is no base64",
      headers: { "x-twilio-email-event-webhook-signature": "*".repeat(96) },
      cause: "signature_malformed",
    },
    {
      when: "the signature is endless",
      headers: { "x-twilio-email-event-webhook-signature": "A".repeat(16_000) },
      cause: "signature_malformed",
    },
    {
      when: "the signature is no DER",
      headers: { "x-twilio-email-event-webhook-signature": "A".repeat(96) },
      cause: "signature_mismatch",
    },
    ...untimely(86_700_000),
  ],
  square: [
    {
      when: "there is only the SHA-1 signature",
      headers: { "x-square-hmacsha256-signature": undefined, "x-square-signature": "AAAA" },
      cause: "signature_missing",
    },
    {
      when: "the signature is short",
      headers: { "x-square-hmacsha256-signature": "AAAA" },
      cause: "signature_malformed",
    },
    { when: "the address is another", options: { publicUrl: "https://other.example/" }, cause: "signature_mismatch" },
  ],
  trello: [
    { when: "there is no signature", headers: { "x-trello-webhook": undefined }, cause: "signature_missing" },
    { when: "the signature is short", headers: { "x-trello-webhook": "AAAA" }, cause: "signature_malformed" },
    { when: "the address is another", options: { publicUrl: "https://other.example/" }, cause: "signature_mismatch" },
  ],
  typeform: [
    { when: "there is no signature", headers: { "typeform-signature": undefined }, cause: "signature_missing" },
    { when: "the signature is short", headers: { "typeform-signature": "sha256=AAAA" }, cause: "signature_malformed" },
  ],
  zendesk: [
    {
      when: "there is no signature",
      headers: { "x-zendesk-webhook-signature": undefined },
      cause: "signature_missing",
    },
    {
      when: "there is no time",
      headers: { "x-zendesk-webhook-signature-timestamp": undefined },
      cause: "timestamp_missing",
    },
    {
      when: "the time is a number",
      headers: { "x-zendesk-webhook-signature-timestamp": "1763812800" },
      cause: "timestamp_malformed",
    },
    {
      when: "the time is on no calendar",
      headers: { "x-zendesk-webhook-signature-timestamp": "2026-13-45T12:00:00Z" },
      cause: "timestamp_malformed",
    },
    {
      when: "the signature is short",
      headers: { "x-zendesk-webhook-signature": "AAAA" },
      cause: "signature_malformed",
    },
    ...untimely(5 * minute),
  ],
};

describe.for(productSchemes)("a request of $name", ({ name, settings, secrets, sign, body: bodyOf }) => {
  const good = bodyOf?.("evt-1", "x") ?? '{"id":"evt-1"}';

  test.for(cases[name] ?? [])("is refused as $cause when $when", ({ headers, ...more }) => {
    const { request = {}, afterMs = 0, options, cause } = more;
    const source = sourceOf({ ...settings, secrets, ...(options === undefined ? {} : { options }) });
    const sent = Object.entries({ ...sign(good, 0), ...headers }).filter(([, value]) => value !== undefined);
    const rawHeaders = sent.flatMap(([header, value]) => [header, value ?? ""]);
    expect(judge(source, { rawHeaders, body: good, ...request }, nowMs + afterMs)).toEqual({ kind: "rejected", cause });
  });
});

const dedupeKeyOf = (name: string, body: string, at = nowMs) => {
  const scheme = productSchemes.find((candidate) => candidate.name === name);
  if (scheme === undefined) throw new Error(`no scheme ${name}`);
  const source = sourceOf({ ...scheme.settings, secrets: scheme.secrets });
  const verdict = judge(source, { headers: scheme.sign(body, 0), body }, at);
  return verdict.kind === "verified" ? verdict.dedupeKey : verdict;
};

const hubspotBody = (attempt: number, subscription: number) =>
  JSON.stringify([{ eventId: 1, portalId: 2, subscriptionId: subscription, objectId: 4, attemptNumber: attempt }]);

const sendgridBody = (ids: readonly string[]) => JSON.stringify(ids.map((id) => ({ sg_event_id: id, event: "open" })));

const echo = (body: string, eventType: string) => ({
  kind: "challenge",
  answer: { kind: "answer", status: 200, contentType: "text/plain", body },
  eventType,
});

test("every product has its table of causes", () => {
  expect(Object.keys(cases).toSorted()).toEqual(productSchemes.map(({ name }) => name).toSorted());
});

test("an authentic body that names no event is kept, known by its bytes", () => {
  for (const { settings, secrets, sign } of productSchemes.filter(
    ({ name }) => name !== "dropbox" && name !== "zendesk",
  )) {
    const source = sourceOf({ ...settings, secrets });
    for (const body of ["", "null", "[]", "[{}]", "{}", "nonsense"]) {
      const verdict = judge(source, { headers: sign(body, 0), body });
      expect(verdict).toMatchObject({ kind: "verified", dedupeKey: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) });
    }
  }
});

describe("the same event", () => {
  test("of HubSpot is the same at another attempt, and not for another subscription", () => {
    expect(dedupeKeyOf("hubspot v1", hubspotBody(0, 3))).toBe(dedupeKeyOf("hubspot v1", hubspotBody(1, 3)));
    expect(dedupeKeyOf("hubspot v1", hubspotBody(0, 3))).not.toBe(dedupeKeyOf("hubspot v1", hubspotBody(0, 4)));
  });

  test("of SendGrid is the same list of ids", () => {
    expect(dedupeKeyOf("sendgrid", sendgridBody(["a"]))).toBe("a");
    expect(dedupeKeyOf("sendgrid", sendgridBody(["a", "b"]))).toBe(dedupeKeyOf("sendgrid", sendgridBody(["a", "b"])));
    expect(dedupeKeyOf("sendgrid", sendgridBody(["a", "b"]))).not.toBe(
      dedupeKeyOf("sendgrid", sendgridBody(["a", "c"])),
    );
  });

  test("is never one of Dropbox, whose notifications all read alike", () => {
    expect(dedupeKeyOf("dropbox", "{}")).not.toBe(dedupeKeyOf("dropbox", "{}", nowMs + 1));
  });
});

describe("a challenge", () => {
  const meta = sourceOf({ provider: "meta", secrets: ["s"], options: { verifyToken: "meatyhamhock" } });
  const dropbox = sourceOf({ provider: "dropbox", secrets: ["s"] });
  const trello = sourceOf({ provider: "trello", secrets: ["s"], options: { publicUrl: "https://a.example/" } });
  const asked = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=meatyhamhock";

  test("of Meta is sent back to whoever knows the verify token", () => {
    expect(judge(meta, { method: "GET", url: `/?${asked}` })).toEqual(echo("1158201444", "subscribe"));
  });

  test.for([
    ["hub.mode=subscribe&hub.challenge=1", "signature_missing"],
    ["hub.mode=subscribe&hub.challenge=1&hub.verify_token=other", "signature_mismatch"],
    ["hub.mode=subscribe&hub.challenge=1&hub.verify_token=", "signature_mismatch"],
    [`${asked}&hub.verify_token=meatyhamhock`, "signature_malformed"],
    ["hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=meatyhamhock", "body_malformed"],
    ["hub.mode=subscribe&hub.challenge=%3Cscript%3E&hub.verify_token=meatyhamhock", "body_malformed"],
    [`hub.mode=subscribe&hub.challenge=${"1".repeat(513)}&hub.verify_token=meatyhamhock`, "body_malformed"],
    ["", "signature_missing"],
  ] as const)("of Meta that asks %s is refused as %s", ([query, cause]) => {
    expect(judge(meta, { method: "GET", url: `/?${query}` })).toEqual({ kind: "rejected", cause });
  });

  test("of Dropbox is sent back, unless it could be markup", () => {
    expect(judge(dropbox, { method: "GET", url: "/?challenge=abc-_123" })).toEqual(echo("abc-_123", "challenge"));
    for (const url of ["/", "/?challenge=", "/?challenge=%3Cb%3E", "/?challenge=a&challenge=b"]) {
      expect(judge(dropbox, { method: "GET", url })).toEqual({ kind: "rejected", cause: "body_malformed" });
    }
  });

  test("of Trello is a HEAD, answered without a body", () => {
    expect(judge(trello, { method: "HEAD" })).toMatchObject({ kind: "challenge", answer: { status: 200, body: "" } });
    expect(judge(trello, { method: "POST" }).kind).toBe("rejected");
  });
});
