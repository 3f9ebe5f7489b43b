import { expect, test } from "vitest";
import vectors from "./fixtures/public-key-vectors.json" with { type: "json" };
import { judge, nowMs, type RequestParts, sourceOf } from "./signed.ts";

interface Published extends RequestParts {
  readonly of: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly at?: number;
  readonly key?: string;
  readonly type?: string;
}

const form = (fields: readonly (readonly [string, string])[]) =>
  new URLSearchParams(fields.map(([name, value]): [string, string] => [name, value])).toString();
const twilioUrl = "https://mycompany.com/myapp.php?foo=1&bar=2";
const twilioFields = [
  ["CallSid", "CA1234567890ABCDE"],
  ["Caller", "+14158675309"],
  ["Digits", "1234"],
  ["From", "+14158675309"],
  ["To", "+18005551212"],
] as const;
const bodyHash = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
const adyenItem = {
  pspReference: "7914073381342284",
  merchantAccountCode: "TestMerchant",
  merchantReference: "TestPayment-1407325143704",
  amount: { value: 1130, currency: "EUR" },
  eventCode: "AUTHORISATION",
  paymentMethod: "visa",
  success: "true",
};
const adyen = (item: object, hmacSignature: string) =>
  JSON.stringify({
    live: "false",
    notificationItems: [{ NotificationRequestItem: { ...item, additionalData: { hmacSignature } } }],
  });
const hubspotBody =
  '[{"eventId":531833541,"subscriptionId":3923621,"portalId":48807704,"appId":16111050,"occurredAt":1752613920733,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":138017612137,"changeFlag":"CREATED","changeSource":"CRM_UI","sourceId":"userId:76023669"}]';
const hubspotSecret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy";
const pagerdutyBody =
  '{"event":{"id":"01BWDWL3NYY7LUFPZCC28QUCMK","event_type":"incident.priority_updated","resource_type":"incident","occurred_at":"2021-04-26T17:36:27.458Z","agent":{"html_url":"https://acme.pagerduty.com/users/PLH1HKV","id":"PLH1HKV","self":"https://api.pagerduty.com/users/PLH1HKV","summary":"Tenex Engineer","type":"user_reference"},"client":null,"data":{"id":"PGR0VU2","type":"incident","self":"https://api.pagerduty.com/incidents/PGR0VU2","html_url":"https://acme.pagerduty.com/incidents/PGR0VU2","number":2,"status":"triggered","title":"A little bump in the road","service":{"html_url":"https://acme.pagerduty.com/services/PF9KMXH","id":"PF9KMXH","self":"https://api.pagerduty.com/services/PF9KMXH","summary":"API Service","type":"service_reference"},"assignees":[{"html_url":"https://acme.pagerduty.com/users/PTUXL6G","id":"PTUXL6G","self":"https://api.pagerduty.com/users/PTUXL6G","summary":"User 123","type":"user_reference"}],"escalation_policy":{"html_url":"https://acme.pagerduty.com/escalation_policies/PUS0KTE","id":"PUS0KTE","self":"https://api.pagerduty.com/escalation_policies/PUS0KTE","summary":"Default","type":"escalation_policy_reference"},"teams":[{"html_url":"https://acme.pagerduty.com/teams/PFCVPS0","id":"PFCVPS0","self":"https://api.pagerduty.com/teams/PFCVPS0","summary":"Engineering","type":"team_reference"}],"priority":{"html_url":"https://acme.pagerduty.com/account/incident_priorities","id":"PSO75BM","self":"https://api.pagerduty.com/priorities/PSO75BM","summary":"P1","type":"priority_reference"},"urgency":"high","conference_bridge":{"conference_number":1000,"conference_url":"https://example.com"},"resolve_reason":null}}}';

/** Signatures that providers publish, in pages or in the tests of their libraries; and, where they publish none, those that somebody else's code made. */
const published: readonly Published[] = [
  {
    of: "the tests of Twilio's libraries",
    settings: { provider: "twilio", secrets: ["12345"], options: { publicUrl: twilioUrl } },
    url: "/webhooks/twilio?foo=1&bar=2",
    headers: { "X-Twilio-Signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "I-Twilio-Idempotency-Token": "token-1" },
    body: form(twilioFields),
    key: "token-1",
  },
  {
    of: "the tests of Twilio's libraries, with repeated fields",
    settings: { provider: "twilio", secrets: ["12345"], options: { publicUrl: twilioUrl } },
    url: "/?foo=1&bar=2",
    headers: { "X-Twilio-Signature": "IK+Dwps556ElfBT0I3Rgjkr1wJU=" },
    body: "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
  },
  {
    of: "the tests of Twilio's libraries, for JSON",
    settings: { provider: "twilio", secrets: ["12345"], options: { publicUrl: twilioUrl } },
    url: `/?foo=1&bar=2&bodySHA256=${bodyHash}`,
    headers: { "X-Twilio-Signature": "a9nBmqA0ju/hNViExpshrM61xv4=" },
    body: '{"property": "value", "boolean": true}',
  },
  {
    of: "twilio 6.2.0 for text of many kinds and an address with a port",
    settings: { provider: "twilio", secrets: ["s3cr3t"], options: { publicUrl: "https://example.com:8443/sms" } },
    url: "/webhooks/twilio?shop=eu",
    headers: { "x-twilio-signature": "zqd5NZjCeIuYHsktuanXVJwAe8o=" },
    body: form([
      ["Body", "héllo & wörld + 100%"],
      ["MessageSid", "SM1"],
      ["MessageStatus", "delivered"],
      ["Empty", ""],
    ]),
    type: "delivered",
  },
  {
    of: "twilio 6.2.0 for GET",
    settings: { provider: "twilio", secrets: ["s3cr3t"], options: { publicUrl: "https://example.com/sms" } },
    method: "GET",
    url: "/webhooks/twilio?MessageSid=SM1&Body=a%20b",
    headers: { "x-twilio-signature": "kvPmCbiNH92gCibXKmK66pjJ4oc=" },
    body: "",
  },
  {
    of: "the tests of SendGrid's libraries",
    settings: {
      provider: "sendgrid",
      secrets: [
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
      ],
    },
    headers: {
      "X-Twilio-Email-Event-Webhook-Signature":
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
      "X-Twilio-Email-Event-Webhook-Timestamp": "1600112502",
    },
    body: '[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n',
    at: 1_600_112_502_000,
    key: "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
    type: "dropped",
  },
  {
    of: "Python for Mailgun (it publishes none)",
    settings: { provider: "mailgun", secrets: ["key-3ax6xnjp29jd6fds4gc373sgvjxteol0"] },
    body: JSON.stringify({
      signature: {
        token: "e0b5477167110d68991efc6b9f89f0a11066af27834600e123",
        timestamp: "1763812800",
        signature: "c25ac210caf20e81429a1bcdbbc39cf08e8ff0ba20237caa778bb204456cf50e",
      },
      "event-data": { id: "CPgfbmQMTCKtHW6uIWtuVe", event: "delivered" },
    }),
    at: 1_763_812_800_000,
    key: "e0b5477167110d68991efc6b9f89f0a11066af27834600e123",
    type: "delivered",
  },
  {
    of: "openssl for PayPal's own example (it publishes no key)",
    settings: { provider: "paypal", secrets: [vectors.certificate], options: { webhookId: "1JE4291016473214C" } },
    headers: {
      "PAYPAL-TRANSMISSION-ID": "69cd13f0-d67a-11e5-baa3-778b53f4ae55",
      "PAYPAL-TRANSMISSION-TIME": "2016-02-18T20:01:35Z",
      "PAYPAL-TRANSMISSION-SIG": vectors.paypal.signature,
      "PAYPAL-CERT-URL": "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77",
      "PAYPAL-AUTH-ALGO": "SHA256withRSA",
    },
    body: vectors.paypal.body,
    at: Date.parse("2016-02-18T20:01:40Z"),
    key: "8PT597110X687430LKGECATA",
    type: "PAYMENT.AUTHORIZATION.CREATED",
  },
  {
    of: "the tests of Square's library",
    settings: {
      provider: "square",
      secrets: ["Ibxx_5AKakO-3qeNVR61Dw"],
      options: { publicUrl: "https://webhook.site/679a4f3a-dcfa-49ee-bac5-9d0edad886b9" },
    },
    headers: { "x-square-hmacsha256-signature": "GF4YkrJgGBDZ9NIYbNXBnMzqb2HoL4RW/S6vkZ9/2N4=" },
    body: '{"merchant_id":"MLEFBHHSJGVHD","type":"webhooks.test_notification","event_id":"ac3ac95b-f97d-458c-a6e6-18981597e05f","created_at":"2022-07-13T20:30:59.037339943Z","data":{"type":"webhooks","id":"bc368e64-01aa-407e-b46e-3231809b1129"}}',
    key: "ac3ac95b-f97d-458c-a6e6-18981597e05f",
    type: "webhooks.test_notification",
  },
  {
    of: "the tests of Adyen's libraries",
    settings: { provider: "adyen", secrets: ["44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"] },
    body: adyen(adyenItem, "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="),
    key: "7914073381342284:AUTHORISATION:true",
    type: "AUTHORISATION",
  },
  {
    of: "@adyen/api-library 32.1.0 for colons, backslashes and more than ASCII",
    settings: { provider: "adyen", secrets: ["44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"] },
    body: adyen(
      {
        ...adyenItem,
        originalReference: "881:\\x",
        eventCode: "REFUND",
        merchantAccountCode: "Test:Merchant",
        merchantReference: "ünïcode-1",
        success: "false",
      },
      "YZvEXJ+ir9jXZUp1NeQIDshgbNwKMtXP7Gn0t9r6CfE=",
    ),
    type: "REFUND",
  },
  {
    of: "the tests of Adyen's libraries, for its platform",
    settings: {
      provider: "adyen-platform",
      secrets: ["D7DD5BA6146493707BF0BE7496F6404EC7A63616B7158EC927B9F54BB436765F"],
    },
    headers: { hmacsignature: "9Qz9S/0xpar1klkniKdshxpAhRKbiSAewPpWoxKefQA=" },
    body: '{"data":{"balancePlatform":"Integration_tools_test","accountId":"BA32272223222H5HVKTBK4MLB","sweep":{"id":"SWPC42272223222H5HVKV6H8C64DP5","schedule":{"type":"balance"},"status":"active","targetAmount":{"currency":"EUR","value":0},"triggerAmount":{"currency":"EUR","value":0},"type":"pull","counterparty":{"balanceAccountId":"BA3227C223222H5HVKT3H9WLC"},"currency":"EUR"}},"environment":"test","type":"balancePlatform.balanceAccountSweep.updated"}',
    type: "balancePlatform.balanceAccountSweep.updated",
  },
  {
    of: "HubSpot's page, v3",
    settings: {
      provider: "hubspot",
      secrets: ["cfc68c0b-4b4e-4ef8-b764-95350e4ea479"],
      options: { publicUrl: "https://webhook.site/335453f5-94b3-49d9-b684-a55354d4b8df" },
    },
    headers: {
      "X-HubSpot-Signature-v3": "gbj1XPRvUt0noT7i7fXfTzOD4sLzQmf0VT28ZYq0EYg=",
      "X-HubSpot-Request-Timestamp": "1752613922216",
    },
    body: hubspotBody,
    at: 1_752_613_922_216,
    key: "48807704:3923621:531833541:138017612137:1752613920733",
    type: "contact.creation",
  },
  {
    of: "@hubspot/api-client 14.0.1 for an address that HubSpot decodes before it signs",
    settings: {
      provider: "hubspot",
      secrets: ["yyyy"],
      options: { publicUrl: "https://hooks.example.com/webhooks/hubspot" },
    },
    url: "/webhooks/hubspot?redirect=https%3A%2F%2Fa.b%2Fc%40d",
    headers: {
      "X-HubSpot-Signature-v3": "ZOwQrayTA1EoG/bqJtpGxx9Og57S4zw3kpZEtwuCU3s=",
      "X-HubSpot-Request-Timestamp": "1763812800000",
    },
    body: '{"a":"ü"}',
    at: 1_763_812_800_000,
  },
  {
    of: "HubSpot's page, v2",
    settings: {
      provider: "hubspot",
      secrets: [hubspotSecret],
      options: { publicUrl: "https://www.example.com/webhook_uri", version: "v2" },
    },
    headers: { "X-HubSpot-Signature": "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900" },
    body: '{"example_field":"example_value"}',
  },
  {
    of: "HubSpot's page, v1",
    settings: {
      provider: "hubspot",
      secrets: [hubspotSecret],
      options: { publicUrl: "https://www.example.com/webhook_uri", version: "v1" },
    },
    headers: { "X-HubSpot-Signature": "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de" },
    body: '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]',
    type: "contact.creation",
  },
  ...(["v2", "withoutSubject", "subscription"] as const).map((name) => ({
    of: `openssl and sns-validator for SNS: ${name} (AWS publishes no key)`,
    settings: {
      provider: "aws-sns",
      secrets: [vectors.certificate],
      options: { topics: ["arn:aws:sns:us-west-2:123456789012:MyTopic"] },
    },
    body: vectors.awsSns[name],
    type: name === "subscription" ? "SubscriptionConfirmation" : "Notification",
  })),
  {
    of: "openssl and sns-validator for SNS: SHA-1",
    settings: {
      provider: "aws-sns",
      secrets: [vectors.certificate],
      options: { topics: ["arn:aws:sns:us-west-2:123456789012:MyTopic"], signatureVersion: "1" },
    },
    body: vectors.awsSns.v1,
    key: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
  },
  {
    of: "Python for Meta (it publishes none), with its escaped Unicode",
    settings: { provider: "meta", secrets: ["app-secret"], options: { verifyToken: "meatyhamhock" } },
    headers: { "X-Hub-Signature-256": "sha256=0d205a04e933d15439dd5b22ef28fa86e3e429acad4650862fa00c3663f02c06" },
    body: String.raw`{"object":"page","entry":[{"id":"1","text":"\u00fcn\u00efcode"}]}`,
    type: "page",
  },
  {
    of: "the tests of hapi-dropbox-webhooks",
    settings: { provider: "dropbox", secrets: ["the_secret"] },
    headers: { "X-Dropbox-Signature": "0a8c16b085420b960dc78664279fe09e936a2a01b1f91064869d9e77dfd64529" },
    body: '{"delta": {"users": [12345]}}',
  },
  {
    of: "Python for Typeform (it publishes none)",
    settings: { provider: "typeform", secrets: ["tf-secret"] },
    headers: { "Typeform-Signature": "sha256=GMxO3JfEE+Pu7af6K9oATXHW5QPyeGYV9yNwgsI4mlc=" },
    body: '{"event_id":"LtWXD3crgy","event_type":"form_response","form_response":{"form_id":"lT4Z3j"}}',
    key: "LtWXD3crgy",
    type: "form_response",
  },
  {
    of: "Python for Zendesk, with the secret of its test requests (it publishes no signature)",
    settings: { provider: "zendesk", secrets: ["dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="] },
    headers: {
      "X-Zendesk-Webhook-Signature": "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM=",
      "X-Zendesk-Webhook-Signature-Timestamp": "2021-03-25T05:09:27Z",
      "X-Zendesk-Webhook-Invocation-Id": "01F1KRFQ6BHB29CNWFR60NK5FV",
    },
    body: '{"event":"ticket.updated","id":123}',
    at: Date.parse("2021-03-25T05:09:27Z"),
    key: "01F1KRFQ6BHB29CNWFR60NK5FV",
  },
  {
    of: "Python for Trello (it publishes none), with the address of its page",
    settings: {
      provider: "trello",
      secrets: ["trello-secret"],
      options: { publicUrl: "https://mycallback.com/trelloCallbacks/?memberID=14&mainModel=true" },
    },
    headers: { "X-Trello-Webhook": "9rfY7oiCLTSiXhTweA+gYicwHhc=" },
    body: '{"action":{"id":"51f9424bcd6e040f3c002412","type":"updateCard"},"note":"ünïcode"}',
    key: "51f9424bcd6e040f3c002412",
    type: "updateCard",
  },
  {
    of: "the tests of PagerDuty's library",
    settings: { provider: "pagerduty", secrets: ["lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK"] },
    headers: {
      "X-PagerDuty-Signature":
        "v1=7020c8a7ec668a9b7012bc3dd82e483394b038f4230acc6785efbf2a7d8bcaf5,v1=0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd",
    },
    body: pagerdutyBody,
    key: "01BWDWL3NYY7LUFPZCC28QUCMK",
    type: "incident.priority_updated",
  },
];

test.for(published)("the signature of $of is verified", ({ settings, at = nowMs, key, type, ...parts }) => {
  expect(judge(sourceOf(settings), parts, at)).toMatchObject({
    kind: "verified",
    ...(key === undefined ? {} : { dedupeKey: key }),
    ...(type === undefined ? {} : { eventType: type }),
  });
});

const covering = published.filter(({ settings, method }) => {
  return !["mailgun", "aws-sns"].includes(String(settings["provider"])) && method !== "GET";
});

test.for(covering)("the signature of $of is not good for another body", ({ settings, at = nowMs, ...parts }) => {
  const body = String(parts.body).replace(/[0-9a-f](?=[^0-9a-f]*$)/, (digit) => (digit === "0" ? "1" : "0"));
  expect(body).not.toBe(parts.body);
  expect(judge(sourceOf(settings), { ...parts, body }, at).kind).toBe("rejected");
});
