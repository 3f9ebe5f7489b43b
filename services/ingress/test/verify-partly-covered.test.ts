import { createHash, createHmac, sign } from "node:crypto";
import { propertyRuns } from "@warren/testing/properties";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import vectors from "./fixtures/public-key-vectors.json" with { type: "json" };
import { rsaPairs } from "./product-schemes.ts";
import { judge, nowMs, nowSeconds, type RequestParts, sourceOf } from "./signed.ts";

/** Providers whose signature covers what a body means, or only parts of it. */

const secrets = ["s3cret", "0ther"] as const;
const hmac = (algorithm: "sha1" | "sha256", secret: string | Buffer, content: string) =>
  createHmac(algorithm, secret).update(content);
const mismatch = { kind: "rejected", cause: "signature_mismatch" };
const which = fc.constantFrom<0 | 1>(0, 1);
const word = fc.string({ unit: "binary-ascii", minLength: 1 });

function flipped(text: string, bit: number): string {
  const bytes = Buffer.from(text, "latin1");
  const at = Math.floor(bit / 8) % bytes.length;
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8));
  return bytes.toString("latin1");
}

const meaning = (body: string) =>
  [...new URLSearchParams(`&${body}`)]
    .map(String)
    .toSorted((a, b) => (a < b ? -1 : 1))
    .join("\u0000");

const mailgunSignature = (token: string, secret: string, at = nowSeconds) => ({
  timestamp: String(at),
  token,
  signature: hmac("sha256", secret, `${at}${token}`).digest("hex"),
});

const mailgunBody = (signature: object) => JSON.stringify({ signature, "event-data": { id: "1", event: "opened" } });

const adyenBody = (...items: readonly (readonly [object, string])[]) =>
  JSON.stringify({
    notificationItems: items.map(([item, hmacSignature]) => ({
      NotificationRequestItem: { ...item, additionalData: { hmacSignature } },
    })),
  });

describe("Twilio", () => {
  const publicUrl = "https://hooks.example.com/webhooks/test";
  const source = sourceOf({ provider: "twilio", secrets, options: { publicUrl } });
  const signed = (fields: Readonly<Record<string, string>>, secret: string, url = publicUrl): RequestParts => {
    const sorted = Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const signature = hmac("sha1", secret, url + sorted.flat().join("")).digest("base64");
    return { headers: { "x-twilio-signature": signature }, body: new URLSearchParams(fields).toString() };
  };
  const fields = fc.dictionary(word, fc.string({ unit: "grapheme" }), { minKeys: 1 });

  test("a form is verified with any of the current secrets, with or without the port in what was signed", () => {
    fc.assert(
      fc.property(fields, which, fc.constantFrom("", ":443"), (form, secret, port) => {
        const url = publicUrl.replace(".com", `.com${port}`);
        expect(judge(source, signed(form, secrets[secret], url)).kind).toBe("verified");
      }),
    );
  });

  test("a form with any one bit flipped is refused, unless it still means the same", () => {
    fc.assert(
      fc.property(fields, fc.nat(), (form, bit) => {
        const parts = signed(form, secrets[0]);
        const body = flipped(String(parts.body), bit);
        const same = meaning(body) === meaning(String(parts.body));
        const verdict = judge(source, { ...parts, body: Buffer.from(body, "latin1") });
        expect(verdict.kind).toBe(same ? "verified" : "rejected");
      }),
      { numRuns: propertyRuns(500) },
    );
  });

  const json = '{"specversion":"1.0","type":"com.twilio.x","data":1}';
  const hash = createHash("sha256").update(json).digest("hex");
  const query = `?bodySHA256=${hash}`;
  const signature = hmac("sha1", secrets[1], publicUrl + query).digest("base64");
  const url = `/webhooks/test${query}`;

  test("JSON with any one bit flipped, in body, address or signature, is refused", () => {
    const headers = { "x-twilio-signature": signature };
    expect(judge(source, { url, headers, body: json })).toMatchObject({ kind: "verified", eventType: "com.twilio.x" });
    for (let bit = 0; bit < json.length * 8; bit++) {
      expect(judge(source, { url, headers, body: Buffer.from(flipped(json, bit), "latin1") })).toEqual(mismatch);
    }
    for (let bit = 0; bit < query.length * 8; bit++) {
      const other = `/webhooks/test${flipped(query, bit)}`;
      expect(judge(source, { url: other, headers, body: json }).kind).toBe("rejected");
    }
    for (let bit = 0; bit < signature.length * 8; bit++) {
      const forged = { "x-twilio-signature": flipped(signature, bit) };
      expect(judge(source, { url, headers: forged, body: json }).kind).toBe("rejected");
    }
  });

  test.for([
    [{}, "signature_missing"],
    [{ headers: { "x-twilio-signature": "AAAA" } }, "signature_malformed"],
    [{ rawHeaders: ["X-Twilio-Signature", signature, "x-twilio-signature", signature] }, "header_repeated"],
    [{ url: `${url}&bodySHA256=${hash}`, headers: { "x-twilio-signature": signature } }, "signature_malformed"],
    // signed for an empty form: no body may hide behind it
    [{ ...signed({}, secrets[0]), body: json }, "signature_mismatch"],
  ] as const)("%j is refused as %s", ([parts, cause]) => {
    expect(judge(source, { body: "A=1", ...parts })).toEqual({ kind: "rejected", cause });
  });
});

describe("Mailgun", () => {
  const source = sourceOf({ provider: "mailgun", secrets });

  test("is verified as JSON and as a form with any current secret, once a token whatever the rest of the body", () => {
    fc.assert(
      fc.property(word, which, fc.json(), (token, secret, data) => {
        const signature = mailgunSignature(token, secrets[secret]);
        const bodies = [mailgunBody(signature), JSON.stringify({ signature, "event-data": data })];
        const keys = [...bodies, new URLSearchParams(signature).toString()].map((body) => judge(source, { body }));
        for (const verdict of keys) expect(verdict).toMatchObject({ kind: "verified" });
        const dedupe = new Set(keys.map((verdict) => (verdict.kind === "verified" ? verdict.dedupeKey : "")));
        expect(dedupe.size).toBe(1);
      }),
    );
  });

  test("with any one bit flipped in time, token or signature is refused", () => {
    const good = mailgunSignature("e0b5477167110d68991efc6b9f89f0a11066af27834600e123", secrets[0]);
    for (const [name, value] of Object.entries(good)) {
      for (let bit = 0; bit < value.length * 8; bit++) {
        const body = mailgunBody({ ...good, [name]: flipped(value, bit) });
        expect(judge(source, { body }).kind, `${name}, bit ${bit}`).toBe("rejected");
      }
    }
  });

  test("takes the signature of the parent account too", () => {
    const own = mailgunSignature("t", "unknown");
    const body = mailgunBody({ ...own, "parent-signature": mailgunSignature("t", secrets[1]).signature });
    expect(judge(source, { body })).toMatchObject({ kind: "verified", dedupeKey: "t" });
  });

  test.for([
    ["{}", "signature_missing"],
    ["", "signature_missing"],
    ["timestamp=1&token=a&token=b&signature=c", "signature_missing"],
    [mailgunBody(mailgunSignature("t", secrets[0], nowSeconds - 43_201)), "timestamp_too_old"],
    [mailgunBody(mailgunSignature("t", secrets[0], nowSeconds + 301)), "timestamp_in_future"],
    [mailgunBody({ ...mailgunSignature("t", secrets[0]), timestamp: "1e9" }), "timestamp_malformed"],
    [mailgunBody({ ...mailgunSignature("t", secrets[0]), signature: 7 }), "signature_mismatch"],
  ] as const)("%s is refused as %s", ([body, cause]) => {
    expect(judge(source, { body })).toEqual({ kind: "rejected", cause });
  });
});

describe("Adyen", () => {
  const key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
  const source = sourceOf({ provider: "adyen", secrets: ["00ff", key] });
  const base = {
    pspReference: "7914073381342284",
    originalReference: "8815",
    merchantAccountCode: "Shop",
    merchantReference: "order-1",
    amount: { value: 1130, currency: "EUR" },
    eventCode: "AUTHORISATION",
    success: "true",
  };
  type Item = typeof base;
  const signatureOf = ({ amount, ...item }: Item) => {
    const { pspReference, originalReference, merchantAccountCode, merchantReference, eventCode, success } = item;
    const references = [pspReference, originalReference, merchantAccountCode, merchantReference];
    const text = [...references, amount.value, amount.currency, eventCode, success].join(":");
    return hmac("sha256", Buffer.from(key, "hex"), text).digest("base64");
  };

  test("every one of the eight signed fields counts, in every item", () => {
    const good = [base, signatureOf(base)] as const;
    expect(judge(source, { body: adyenBody(good, good) }).kind).toBe("verified");
    const { amount } = base;
    const others: readonly object[] = [
      ...["pspReference", "originalReference", "merchantAccountCode", "merchantReference", "eventCode", "success"].map(
        (name) => ({ ...base, [name]: "x" }),
      ),
      { ...base, amount: { ...amount, value: 1131 } },
      { ...base, amount: { ...amount, currency: "USD" } },
    ];
    for (const other of others) {
      expect(judge(source, { body: adyenBody(good, [other, good[1]]) })).toEqual(mismatch);
    }
  });

  test("a signature with any one bit flipped is refused", () => {
    const signature = signatureOf(base);
    for (let bit = 0; bit < signature.length * 8; bit++) {
      expect(judge(source, { body: adyenBody([base, flipped(signature, bit)]) })).toEqual(mismatch);
    }
  });

  test.for([
    "",
    "{}",
    '{"notificationItems":[]}',
    '{"notificationItems":[{}]}',
    adyenBody([base, ""]),
    adyenBody(...Array.from({ length: 101 }, () => [base, signatureOf(base)] as const)),
  ])("%s is refused as unsigned", (body) => {
    expect(judge(source, { body })).toEqual({ kind: "rejected", cause: "signature_missing" });
  });
});

describe("SNS", () => {
  const topic = "arn:aws:sns:us-west-2:123456789012:MyTopic";
  const pinned = sourceOf({ provider: "aws-sns", secrets: [vectors.certificate], options: { topics: [topic] } });
  const source = sourceOf({
    provider: "aws-sns",
    secrets: [rsaPairs[0].publicText, rsaPairs[1].publicText],
    options: { topics: [topic] },
  });
  const host = "https://sns.us-west-2.amazonaws.com";
  const message = {
    Message: "Hello",
    MessageId: "22b80b92",
    Subject: "S",
    Timestamp: new Date(nowMs).toISOString(),
    TopicArn: topic,
    Type: "Notification",
  };
  const signed = (fields: Readonly<Record<string, string>>, secret: 0 | 1 = 0) => ({
    ...fields,
    SignatureVersion: "2",
    SigningCertURL: `${host}/SimpleNotificationService-f3ecfb72.pem`,
    Signature: sign(
      "sha256",
      Buffer.from(
        Object.entries(fields)
          .flatMap(([name, value]) => `${name}\n${value}\n`)
          .join(""),
      ),
      rsaPairs[secret].privateKey,
    ).toString("base64"),
  });
  const verdictOn = (fields: object) => judge(source, { body: JSON.stringify(fields) });

  test("is verified under any of the current certificates, and refused when any signed field is another", () => {
    for (const secret of [0, 1] as const) expect(verdictOn(signed(message, secret)).kind).toBe("verified");
    const good = signed(message);
    for (const name of Object.keys(message)) {
      expect(verdictOn({ ...good, [name]: `another ${name}` }).kind, `without ${name}`).toBe("rejected");
      expect(verdictOn({ ...good, [name]: undefined }).kind, `without ${name}`).toBe("rejected");
    }
  });

  test("a signature with a bit flipped is refused", () => {
    const good = signed(message);
    fc.assert(
      fc.property(fc.nat({ max: good.Signature.length * 8 - 1 }), (bit) => {
        expect(verdictOn({ ...good, Signature: flipped(good.Signature, bit) }).kind).toBe("rejected");
      }),
    );
  });

  test.for([
    ["an address elsewhere", "https://evil.example/SimpleNotificationService-1.pem"],
    ["an address that only ends well", "https://evil.example/sns.us-east-1.amazonaws.com/x.pem"],
    [
      "a host that only starts well",
      "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem",
    ],
    ["another service of AWS", "https://s3.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"],
    ["plain HTTP", "http://sns.us-west-2.amazonaws.com/SimpleNotificationService-1.pem"],
    ["another path", `${host}/?x=.pem`],
  ])("a certificate at %s is refused", ([, url]) => {
    const verdict = verdictOn({ ...signed(message), SigningCertURL: url });
    expect(verdict).toEqual({ kind: "rejected", cause: "signature_malformed" });
  });

  test("SHA-1 is refused unless configured, and SHA-256 then", () => {
    const old = sourceOf({
      provider: "aws-sns",
      secrets: [vectors.certificate],
      options: { topics: [topic], signatureVersion: "1" },
    });
    const malformed = { kind: "rejected", cause: "signature_malformed" };
    expect(judge(pinned, { body: vectors.awsSns.v1 })).toEqual(malformed);
    expect(judge(old, { body: vectors.awsSns.v2 })).toEqual(malformed);
    const relabelled = vectors.awsSns.v2.replace('"SignatureVersion": "2"', '"SignatureVersion": "1"');
    expect(relabelled).not.toBe(vectors.awsSns.v2);
    expect(judge(old, { body: relabelled })).toEqual(mismatch);
  });

  test("a topic of somebody else, a confirmation that leads elsewhere, and raw delivery are refused", () => {
    expect(judge(pinned, { body: vectors.awsSns.otherTopic })).toEqual(mismatch);
    const elsewhere = judge(pinned, { body: vectors.awsSns.subscriptionElsewhere });
    expect(elsewhere).toEqual({ kind: "rejected", cause: "body_malformed" });
    expect(judge(pinned, { body: "Hello" })).toEqual({ kind: "rejected", cause: "signature_missing" });
  });

  test.for([
    [3_901_000, "timestamp_too_old"],
    [-301_000, "timestamp_in_future"],
  ] as const)("a message that is %d ms old is refused", ([ageMs, cause]) => {
    const Timestamp = new Date(nowMs - ageMs).toISOString();
    expect(verdictOn(signed({ ...message, Timestamp }))).toEqual({ kind: "rejected", cause });
  });
});

describe("Postmark", () => {
  const headers = { authorization: `Basic ${Buffer.from("hook:pass").toString("base64")}` };
  const source = sourceOf({
    provider: "postmark",
    secrets: ["hook:pass"],
    options: { addresses: ["3.134.147.250"] },
  });
  const from = { headers, clientAddress: "3.134.147.250" };

  test("is known by kind, message and time, as opens come several times", () => {
    const [first, second] = ["2026-11-22T11:00:00Z", "2026-11-22T11:00:01Z"].map((ReceivedAt) =>
      judge(source, { ...from, body: JSON.stringify({ RecordType: "Open", MessageID: "m-1", ReceivedAt }) }),
    );
    expect(first).toMatchObject({
      kind: "verified",
      dedupeKey: "Open:m-1:2026-11-22T11:00:00Z",
      eventType: "Open",
    });
    expect(second).not.toMatchObject({ dedupeKey: "Open:m-1:2026-11-22T11:00:00Z" });
  });

  test.for([
    [{ ...from, clientAddress: "3.134.147.251" }, "address_not_allowed"],
    [{ clientAddress: from.clientAddress }, "signature_missing"],
    [{ ...from, headers: { authorization: "Basic aG9vazpvdGhlcg==" } }, "signature_mismatch"],
  ] as const)("%j is refused as %s", ([parts, cause]) => {
    expect(judge(source, { ...parts, body: "{}" })).toEqual({ kind: "rejected", cause });
  });
});
