import { createSecretKey } from "node:crypto";
import { describe, expect, test } from "vitest";
import { choosesSecret, makeSecret } from "../src/sources/make-secret.ts";
import { type ProviderName, providerNames, providers } from "../src/sources/providers.ts";
import { samplers } from "../src/sources/samples.ts";
import { judge, nowMs, sourceOf, standardSecret } from "./signed.ts";

const publicUrl = "https://hooks.example.com:8443/webhooks/test?shop=1";
const adyenKey = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
const standard = [standardSecret];

/** What a source of each provider needs that can be tested, in all its ways to sign. */
const settings: Partial<Record<ProviderName, readonly Readonly<Record<string, unknown>>[]>> = {
  adyen: [{ secrets: [adyenKey] }],
  "adyen-platform": [{ secrets: [adyenKey] }],
  "api-key": [
    { options: { header: "X-Key" } },
    { options: { query: "key", eventId: { json: "/meta/id" }, eventType: { json: "/meta/kind" } } },
  ],
  basic: [{ secrets: ["anna:s3cret:with:colons"], options: { eventType: { header: "X-Type" } } }],
  clerk: [{ secrets: standard }],
  gitlab: [{}, { secrets: standard, options: { scheme: "signature" } }],
  hmac: [
    { options: { header: "X-Sig", eventId: { json: "/data/id" }, eventType: { header: "X-Type" } } },
    {
      secrets: ["00ff"],
      options: {
        header: "X-Sig",
        prefix: "v0=",
        algorithm: "sha512",
        encoding: "base64url",
        secretEncoding: "hex",
        content: "é{method} {url} {header:X-At}{timestamp}:{body}",
        timestamp: { header: "X-At", unit: "ms" },
      },
    },
  ],
  hubspot: ["v1", "v2", "v3"].map((version) => ({ options: { publicUrl, version } })),
  meta: [{ options: { verifyToken: "t" } }],
  postmark: [{ secrets: ["anna:s3cret"] }],
  resend: [{ secrets: standard }],
  telegram: [{ secrets: ["s3cret_-1"] }],
  square: [{ options: { publicUrl } }],
  "standard-webhooks": [{ secrets: standard }],
  svix: [{ secrets: standard }],
  trello: [{ options: { publicUrl } }],
  twilio: [{ options: { publicUrl: "https://hooks.example.com/webhooks/test" } }],
};

const samplable = providerNames.filter((name) => samplers[name] !== undefined);
const cases = samplable.flatMap((name) =>
  (settings[name] ?? [{}]).map((more) => ({ name, more: { secrets: ["s3cret-é"], ...more } })),
);

function sampleOf(name: ProviderName, more: Readonly<Record<string, unknown>>, id: string) {
  const source = sourceOf({ provider: name, ...more });
  const [secret] = source.secrets;
  const sampler = samplers[name]?.(source.options);
  if (secret === undefined || sampler === undefined) throw new Error("no secret, or no sampler");
  const payload = { text: "é", list: [1] };
  const sample = sampler({ key: secret.key, id, type: "thing.made", nowMs, payload, path: "/webhooks/test" });
  return { source, sample, parts: { ...sample, url: sample.url ?? "/webhooks/test" } };
}

describe("a sample of every provider whose secret signs", () => {
  test("is everything but those that prove by what only they hold, or by where they are", () => {
    const cannot = providerNames.filter((name) => samplers[name] === undefined);
    expect(cannot).toEqual(["addresses", "mtls", "aws-sns", "discord", "paypal", "sendgrid", "yookassa"]);
  });

  test.for(cases)("$name is verified as its provider's own requests are: $more.options", ({ name, more }) => {
    const first = sampleOf(name, more, "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001");
    const again = sampleOf(name, more, "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0002");
    const verdicts = [first, again].map(({ source, parts }) => judge(source, parts));
    expect(verdicts.map(({ kind }) => kind)).toEqual(["verified", "verified"]);
    const keys = verdicts.map((verdict) => (verdict.kind === "verified" ? verdict.dedupeKey : ""));
    expect(keys[0]).not.toBe(keys[1]);
    expect(first.source.takesContentType(first.sample.headers["content-type"])).toBe(true);
  });

  test.for(cases)(
    "$name says where its secret can be read, and with another secret it is refused",
    ({ name, more }) => {
      const { source, sample, parts } = sampleOf(name, more, "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0001");
      const key = source.secrets[0]?.key.export() ?? Buffer.alloc(0);
      const spellings = [key.toString("latin1"), key.toString("base64"), encodeURIComponent(key.toString("utf8"))];
      const bearing = Object.entries({ ...sample.headers, url: parts.url }).filter(([, value]) =>
        spellings.some((spelling) => value.includes(spelling)),
      );
      expect(bearing.map(([place]) => place)).toEqual(sample.bearsSecret ?? []);
      const other = {
        ...source,
        secrets: source.secrets.map((one) => ({ ...one, key: createSecretKey(Buffer.from("x")) })),
      };
      expect(judge(other, parts).kind).toBe("rejected");
    },
  );
});

test("a secret that is made is one that its provider takes, and no other provider gets one", () => {
  const made = providerNames.filter(choosesSecret);
  expect(made).not.toContain("stripe");
  for (const name of made) {
    const [more = {}] = settings[name] ?? [];
    const secret = makeSecret(name, more["options"] ?? {}) ?? "";
    expect(secret.length).toBeGreaterThanOrEqual(40);
    expect(sourceOf({ provider: name, ...more, secrets: [secret] }).secrets).toHaveLength(1);
    expect(secret).not.toBe(makeSecret(name, more["options"] ?? {}));
    expect(providers[name].hasSecrets).toBe(true);
  }
});
