import type { RejectionCause } from "@warren/contracts";
import { describe, expect, test } from "vitest";
import { ed25519Hex, ed25519Keys, schemes } from "./schemes.ts";
import { hmacHex, judge, nowMs, nowSeconds, sourceOf, standardHeaders, standardSecret } from "./signed.ts";

interface Row {
  readonly when: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly cause: RejectionCause;
}

/** How one provider fails, beside what `verify-properties.test.ts` says of all. */
interface Provider {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly rows: readonly Row[];
}

const old = nowSeconds - 86_400;
const body = '{"id":"1","type":2}';
const hex = "a".repeat(64);

/** A header that holds a bare signature of the body. */
function bareHeader(header: string, prefix: string, right: string): readonly Row[] {
  return [
    { when: "it is not signed", headers: {}, cause: "signature_missing" },
    { when: "the signature is empty", headers: { [header]: "" }, cause: "signature_malformed" },
    { when: "the signature is too short", headers: { [header]: right.slice(0, -1) }, cause: "signature_malformed" },
    { when: "the signature is too long", headers: { [header]: `${right}0` }, cause: "signature_malformed" },
    {
      when: "another signature follows the right one",
      headers: { [header]: `${right},${right}` },
      cause: "signature_malformed",
    },
    {
      when: "the signature is spelled in other letters",
      headers: { [header]: prefix + right.slice(prefix.length).toUpperCase() },
      cause: "signature_mismatch",
    },
    ...(prefix === ""
      ? []
      : ([
          {
            when: "the method is missing",
            headers: { [header]: right.slice(prefix.length) },
            cause: "signature_malformed",
          },
          {
            when: "the method is another",
            headers: { [header]: right.replace(prefix, "x".repeat(prefix.length)) },
            cause: "signature_malformed",
          },
        ] satisfies readonly Row[])),
  ];
}

/** A header for the signature and one for the time, which is signed with it. */
function timedHeaders(
  signature: string,
  time: string,
  sign: (at: number | string) => string,
  toleranceSeconds = 300,
): readonly Row[] {
  const at = (value: number | string): Row["headers"] => ({ [signature]: sign(value), [time]: String(value) });
  return [
    { when: "it is not signed", headers: { [time]: String(nowSeconds) }, cause: "signature_missing" },
    { when: "it says no time", headers: { [signature]: sign(nowSeconds) }, cause: "timestamp_missing" },
    { when: "its time is no number", headers: at("now"), cause: "timestamp_malformed" },
    { when: "its time has a fraction", headers: at(`${nowSeconds}.0`), cause: "timestamp_malformed" },
    { when: "its time is negative", headers: at(`-${nowSeconds}`), cause: "timestamp_malformed" },
    { when: "it is too old", headers: at(nowSeconds - toleranceSeconds - 1), cause: "timestamp_too_old" },
    { when: "it is from the future", headers: at(nowSeconds + toleranceSeconds + 1), cause: "timestamp_in_future" },
    {
      when: "an old signature comes with a new time",
      headers: { [signature]: sign(old), [time]: String(nowSeconds) },
      cause: "signature_mismatch",
    },
    {
      when: "the signature is malformed",
      headers: { [signature]: "v0=", [time]: String(nowSeconds) },
      cause: "signature_malformed",
    },
  ];
}

/** A time and signatures as fields of one header. */
function timedFields(
  header: string,
  [time, signature, separator, glue]: readonly string[],
  tolerance: number,
): readonly Row[] {
  const at = (value: number | string): Row["headers"] => ({
    [header]: `${time}=${value}${separator}${signature}=${hmacHex("s3cret", `${value}${glue}${body}`)}`,
  });
  const right = hmacHex("s3cret", `${nowSeconds}${glue}${body}`);
  return [
    { when: "it is not signed", headers: {}, cause: "signature_missing" },
    { when: "it says no time", headers: { [header]: `${signature}=${right}` }, cause: "timestamp_missing" },
    { when: "it holds a time alone", headers: { [header]: `${time}=${nowSeconds}` }, cause: "signature_missing" },
    {
      when: "it says two times",
      headers: { [header]: `${time}=${old}${separator}${time}=${nowSeconds}${separator}${signature}=${right}` },
      cause: "signature_malformed",
    },
    {
      when: "only another version's signature is right",
      headers: { [header]: `${time}=${nowSeconds}${separator}x9=${right}` },
      cause: "signature_missing",
    },
    { when: "its time is no number", headers: at("now"), cause: "timestamp_malformed" },
    { when: "it is too old", headers: at(nowSeconds - tolerance - 1), cause: "timestamp_too_old" },
    { when: "it is from the future", headers: at(nowSeconds + tolerance + 1), cause: "timestamp_in_future" },
    {
      when: "an old signature comes with a new time",
      headers: {
        [header]: `${time}=${nowSeconds}${separator}${signature}=${hmacHex("s3cret", `${old}${glue}${body}`)}`,
      },
      cause: "signature_mismatch",
    },
    {
      when: "none of sixteen signatures is right, and the right one comes after them",
      headers: {
        [header]: [`${time}=${nowSeconds}`, ...Array(16).fill(`${signature}=${hex}`), `${signature}=${right}`].join(
          separator,
        ),
      },
      cause: "signature_mismatch",
    },
  ];
}

function token(header: string): readonly Row[] {
  return [
    { when: "it has no token", headers: {}, cause: "signature_missing" },
    { when: "the token is empty", headers: { [header]: "" }, cause: "signature_mismatch" },
    { when: "the token is cut short", headers: { [header]: "s3cre" }, cause: "signature_mismatch" },
    { when: "the token goes on", headers: { [header]: "s3crets" }, cause: "signature_mismatch" },
    { when: "the token is in other letters", headers: { [header]: "S3CRET" }, cause: "signature_mismatch" },
  ];
}

const slackSign = (at: number | string) => `v0=${hmacHex("s3cret", `v0:${at}:${body}`)}`;
const discordSign = (at: number | string) => ed25519Hex(0, `${at}${body}`);
const linear = (webhookTimestamp: unknown) => JSON.stringify({ type: "Issue", webhookTimestamp });
const linearRow = (when: string, at: unknown, cause: RejectionCause): Row => {
  return { when, headers: { "linear-signature": hmacHex("s3cret", linear(at)) }, body: linear(at), cause };
};
const rightOf = (name: string): string => {
  const found = schemes.find((scheme) => scheme.name === name);
  return Object.values(found?.sign(body, 0) ?? {})[0] ?? "";
};

const providers: readonly Provider[] = [
  {
    settings: { provider: "bitbucket", secrets: ["s3cret"] },
    rows: bareHeader("x-hub-signature", "sha256=", rightOf("bitbucket")),
  },
  {
    settings: { provider: "jira", secrets: ["s3cret"] },
    rows: bareHeader("x-hub-signature", "sha256=", rightOf("jira")),
  },
  {
    settings: { provider: "intercom", secrets: ["s3cret"] },
    rows: bareHeader("x-hub-signature", "sha1=", rightOf("intercom")),
  },
  {
    settings: { provider: "shopify", secrets: ["s3cret"] },
    rows: bareHeader("x-shopify-hmac-sha256", "", rightOf("shopify")),
  },
  {
    settings: { provider: "linear", secrets: ["s3cret"] },
    rows: [
      ...bareHeader("linear-signature", "", hmacHex("s3cret", body)),
      linearRow("it says no time", undefined, "timestamp_missing"),
      linearRow("its time is text", String(nowMs), "timestamp_malformed"),
      linearRow("its time has a fraction", nowMs + 0.5, "timestamp_malformed"),
      linearRow("it is too old", nowMs - 60_001, "timestamp_too_old"),
      linearRow("it is from the future", nowMs + 60_001, "timestamp_in_future"),
    ],
  },
  {
    settings: { provider: "slack", secrets: ["s3cret"] },
    rows: timedHeaders("x-slack-signature", "x-slack-request-timestamp", slackSign),
  },
  {
    settings: { provider: "zoom", secrets: ["s3cret"] },
    rows: timedHeaders("x-zm-signature", "x-zm-request-timestamp", slackSign),
  },
  {
    settings: { provider: "discord", secrets: [ed25519Keys[0][1]] },
    rows: [
      ...timedHeaders("x-signature-ed25519", "x-signature-timestamp", discordSign),
      {
        when: "the signature is in capitals",
        headers: {
          "x-signature-ed25519": discordSign(nowSeconds).toUpperCase(),
          "x-signature-timestamp": String(nowSeconds),
        },
        cause: "signature_malformed",
      },
      {
        when: "it is signed, and of no type that Discord documents",
        headers: {
          "x-signature-ed25519": ed25519Hex(0, `${nowSeconds}{"type":99}`),
          "x-signature-timestamp": String(nowSeconds),
        },
        body: '{"type":99}',
        cause: "body_malformed",
      },
    ],
  },
  {
    settings: { provider: "paddle", secrets: ["s3cret"] },
    rows: timedFields("paddle-signature", ["ts", "h1", ";", ":"], 300),
  },
  {
    settings: { provider: "calendly", secrets: ["s3cret"] },
    rows: timedFields("calendly-webhook-signature", ["t", "v1", ",", "."], 180),
  },
  { settings: { provider: "gitlab", secrets: ["s3cret"] }, rows: token("x-gitlab-token") },
  {
    settings: { provider: "gitlab", options: { scheme: "signature" }, secrets: [standardSecret] },
    rows: [
      {
        when: "it brings the bare token only",
        headers: { "x-gitlab-token": standardSecret },
        cause: "signature_missing",
      },
      { when: "it is too old", headers: standardHeaders("1", body, nowSeconds - 301), cause: "timestamp_too_old" },
      {
        when: "it is from the future",
        headers: standardHeaders("1", body, nowSeconds + 301),
        cause: "timestamp_in_future",
      },
    ],
  },
  {
    settings: { provider: "telegram", secrets: ["s3cret"] },
    rows: [...token("x-telegram-bot-api-secret-token")],
  },
];

const rows = providers.flatMap(({ settings, rows: all }) =>
  all.map((row) => ({
    ...row,
    settings,
    provider: [settings["provider"], ...Object.values(settings["options"] ?? {})].join(" with "),
  })),
);

describe("a webhook is refused", () => {
  test.for(rows)("of $provider when $when: $cause", ({ settings, headers, body: sent = body, cause }) => {
    expect(judge(sourceOf(settings), { headers, body: sent })).toEqual({ kind: "rejected", cause });
  });

  test.for([
    { provider: "slack", headers: ["x-slack-signature", "x-slack-request-timestamp"] },
    { provider: "zoom", headers: ["x-zm-signature", "x-zm-request-timestamp"] },
  ])("of $provider past a tolerance that its source narrows", ({ provider, headers: [signature = "", time = ""] }) => {
    const narrow = sourceOf({ provider, secrets: ["s3cret"], options: { toleranceSeconds: 10 } });
    const at = (seconds: number) => ({ [signature]: slackSign(seconds), [time]: String(seconds) });
    expect(judge(narrow, { headers: at(nowSeconds - 10), body }).kind).toBe("verified");
    expect(judge(narrow, { headers: at(nowSeconds - 11), body })).toMatchObject({ cause: "timestamp_too_old" });
    expect(judge(narrow, { headers: at(nowSeconds + 11), body })).toMatchObject({ cause: "timestamp_in_future" });
  });
});

describe("a secret is refused at start", () => {
  test.for([
    { when: "it is empty", settings: { provider: "slack", secrets: [" "] }, says: "is empty" },
    { when: "Svix's is nothing but its prefix", settings: { provider: "svix", secrets: ["whsec_"] }, says: "is empty" },
    { when: "Telegram's is empty", settings: { provider: "telegram", secrets: [""] }, says: "is empty" },
    {
      when: "Telegram's holds what Telegram forbids",
      settings: { provider: "telegram", secrets: ["s3cret!"] },
      says: "is not 1 to 256 letters",
    },
    {
      when: "Discord's is no public key",
      settings: { provider: "discord", secrets: ["s3cret"] },
      says: "64 hexadecimal digits",
    },
    {
      when: "GitLab's is a signing token, and the bare token is expected",
      settings: { provider: "gitlab", secrets: [standardSecret] },
      says: 'set options.scheme to "signature"',
    },
  ])("when $when", ({ settings, says }) => {
    expect(() => sourceOf(settings)).toThrow(says);
  });
});
