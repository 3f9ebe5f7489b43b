import { describe, expect, test } from "vitest";
import { judge, nowMs, nowSeconds, sourceOf } from "./signed.ts";

/** Signatures that a provider publishes. A body that the provider would not send may still be judged: it is authentic. */
const published = [
  {
    of: "Slack's page on verifying requests",
    settings: { provider: "slack", secrets: ["8f742231b10e8888abcd99yyyzzz85a5"] },
    headers: {
      "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
      "X-Slack-Request-Timestamp": "1531420618",
    },
    body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
    at: 1_531_420_618_000,
  },
  {
    of: "Jira's page on webhooks",
    settings: { provider: "jira", secrets: ["It's a Secret to Everybody"] },
    headers: { "X-Hub-Signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9" },
    body: "Hello World!",
    at: nowMs,
  },
  {
    of: "Bitbucket's page on webhooks",
    settings: { provider: "bitbucket", secrets: ["It's a Secret to Everybody"] },
    headers: { "X-Hub-Signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9" },
    body: "Hello World!",
    at: nowMs,
  },
  {
    of: "the tests of Paddle's SDK",
    settings: { provider: "paddle", secrets: ["VALID_SECRET"] },
    headers: {
      "Paddle-Signature": "ts=1698796800;h1=a300428748dce5c70e4da19bffd60769591ea969c99dea3105d0ec9612cf43f9",
    },
    body: '{"data": ["1", "2"]}',
    at: 1_698_796_800_000,
  },
  {
    of: "the tests of Paddle's SDK, with several signatures",
    settings: { provider: "paddle", secrets: ["VALID_SECRET"] },
    headers: {
      "Paddle-Signature":
        "ts=1698796800;h1=28981e941fae76e53db32f3d2a83cb69db41476595e84e1970a1b5d98f62b261;h1=28981e941fae76e53db32f3d2a83cb69db41476595e84e1970a1b5d98f62b261;h2=RANDOM_HASH",
    },
    body: '{"data": "value"}',
    at: 1_698_796_800_000,
  },
  ...["svix", "clerk", "resend"].map((provider) => ({
    of: `the tests of Svix's libraries, as ${provider}`,
    settings: { provider, secrets: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] },
    headers: {
      "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
      "svix-timestamp": "1614265330",
      "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    body: '{"test": 2432232314}',
    at: 1_614_265_330_000,
  })),
];

const body =
  '{"id":"notif_1","type":"Issue","action":"create","topic":"conversation.user.created","event":"meeting.started","webhookTimestamp":1795348800000,"update_id":1}';
const time = String(nowSeconds);

/**
 * Where the provider publishes none, signatures of the openssl command (3.0.19), under the key `hush`:
 * `printf %s "$content" | openssl dgst -sha256 -hmac hush`, `-sha1` for Intercom, `-binary | base64` for Shopify;
 * GitLab: `openssl dgst -sha256 -mac HMAC -macopt hexkey:…`; Discord: `openssl pkeyutl -sign -rawin` with the key of RFC 8032, 7.1, test 1.
 */
const computed = [
  {
    of: "openssl for Shopify",
    settings: { provider: "shopify", secrets: ["hush"] },
    headers: { "X-Shopify-Hmac-Sha256": "A+kiwhUbMcX9sF0az8sIg2gg+2I4Ejq/7UBvofnRanQ=" },
    body,
    at: nowMs,
  },
  {
    of: "openssl for Intercom",
    settings: { provider: "intercom", secrets: ["hush"] },
    headers: { "X-Hub-Signature": "sha1=3054379a2c73063b5a070a99f5069fb59e533b25" },
    body,
    at: nowMs,
  },
  {
    of: "openssl for Linear",
    settings: { provider: "linear", secrets: ["hush"] },
    headers: { "Linear-Signature": "03e922c2151b31c5fdb05d1acfcb08836820fb6238123abfed406fa1f9d16a74" },
    body,
    at: nowMs,
  },
  {
    of: "openssl for Zoom",
    settings: { provider: "zoom", secrets: ["hush"] },
    headers: {
      "x-zm-signature": "v0=74d30c5a9e9a85c38c9025697ee3b14fb9eadec64a2c2b4625eb8029768880bf",
      "x-zm-request-timestamp": time,
    },
    body,
    at: nowMs,
  },
  {
    of: "openssl for Calendly",
    settings: { provider: "calendly", secrets: ["hush"] },
    headers: {
      "Calendly-Webhook-Signature": `t=${time},v1=853648607f48df73cded6ae48160d963b6ac381ad873dc4c16863fc16d5baa92`,
    },
    body,
    at: nowMs,
  },
  {
    of: "openssl for GitLab's signing token",
    settings: {
      provider: "gitlab",
      options: { scheme: "signature" },
      secrets: ["whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q="],
    },
    headers: {
      "webhook-id": "d5c7a3f0",
      "webhook-timestamp": time,
      "webhook-signature": "v1,dmn/cX3arDV8+4HW3EYCqW9FxZ5UyXEmiQ/Vao0qKq8=",
    },
    body,
    at: nowMs,
  },
  {
    of: "openssl for Discord",
    settings: {
      provider: "discord",
      secrets: ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"],
    },
    headers: {
      "X-Signature-Ed25519":
        "ce171a5078897c1c9b2cd3a9e80f86401b301680000498f77145e8477adefcb10e9d3520e431b46117a83cc09c9a7e457fceeb7a006f8fec887bc06e73939805",
      "X-Signature-Timestamp": time,
    },
    body: '{"type":1,"version":1}',
    at: nowMs,
  },
];

describe("a signature that was made elsewhere is right", () => {
  test.for([...published, ...computed])("$of", ({ settings, headers, body: signed, at }) => {
    const source = sourceOf(settings);
    expect(judge(source, { headers, body: signed }, at).kind).not.toBe("rejected");
    expect(judge(source, { headers, body: `${signed} ` }, at)).toEqual({
      kind: "rejected",
      cause: "signature_mismatch",
    });
    const other =
      settings.provider === "discord" ? "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c" : "b3RoZXI=";
    expect(judge(sourceOf({ ...settings, secrets: [other] }), { headers, body: signed }, at)).toEqual({
      kind: "rejected",
      cause: "signature_mismatch",
    });
  });

  test("Zoom's plain token comes back with the HMAC that openssl makes of it", () => {
    const source = sourceOf({ provider: "zoom", secrets: ["another", "hush"] });
    const question =
      '{"payload":{"plainToken":"qgg8vlvZRS6UYooatFL8Aw"},"event_ts":1654503849680,"event":"endpoint.url_validation"}';
    const headers = {
      "x-zm-signature": "v0=3b5b537fbe6d564cb829e4c0a807202c3ca23e5e1f6f4742f61f444ef41828e3",
      "x-zm-request-timestamp": time,
    };
    expect(judge(source, { headers, body: question })).toMatchObject({
      kind: "challenge",
      answer: {
        status: 200,
        contentType: "application/json",
        body: '{"plainToken":"qgg8vlvZRS6UYooatFL8Aw","encryptedToken":"36517668f50730dfc6247803d9cc2b23e89a05172ec38cd1797466a23164362a"}',
      },
    });
  });
});
