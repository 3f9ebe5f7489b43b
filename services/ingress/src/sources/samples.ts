import { gitlabOptions } from "../verify/options.ts";
import { squareOptions } from "../verify/square.ts";
import { trelloOptions } from "../verify/trello.ts";
import { hmacSample } from "./hmac-sample.ts";
import type { ProviderName } from "./providers.ts";
import {
  basicAuthorization,
  bodyMac,
  idAndType,
  jsonSample,
  mac,
  merged,
  type SampleParts,
  type Sampler,
  type SamplerOf,
  seconds,
  standardHeaders,
  standardSample,
  token,
  withOptions,
} from "./sample-parts.ts";
import { adyen, apiKey, basic, bearer, hubspot, mailgun, twilio } from "./special-samples.ts";

const plain =
  (sampler: Sampler): SamplerOf =>
  () =>
    sampler;

const gitlabBody = ({ type, payload }: SampleParts) => ({ object_kind: type, ...payload });
const gitlabToken = jsonSample(
  gitlabBody,
  (parts) => ({ "x-gitlab-token": token(parts), "idempotency-key": parts.id, "x-gitlab-event": "Push Hook" }),
  ["x-gitlab-token"],
);

/** How each provider would send a test event. `undefined`: its requests cannot be made here, because only it holds what proves them. */
export const samplers: Readonly<Record<ProviderName, SamplerOf | undefined>> = {
  addresses: undefined,
  adyen: plain(adyen),
  "adyen-platform": plain(jsonSample(idAndType, bodyMac("hmacsignature", { encoding: "base64" }))),
  "api-key": apiKey,
  "aws-sns": undefined,
  basic,
  bearer,
  bitbucket: plain(
    jsonSample(
      idAndType,
      merged(bodyMac("x-hub-signature", { prefix: "sha256=" }), ({ id, type }) => ({
        "x-request-uuid": id,
        "x-event-key": type,
      })),
    ),
  ),
  calendly: plain(
    jsonSample(
      ({ id, type, payload }) => ({ event: type, payload: { uri: id, ...payload } }),
      (parts, body) => {
        const time = seconds(parts);
        return { "calendly-webhook-signature": `t=${time},v1=${mac("sha256", "hex", parts, [`${time}.${body}`])}` };
      },
    ),
  ),
  clerk: plain(standardSample("svix")),
  discord: undefined,
  dropbox: plain(
    jsonSample(
      ({ id, payload }) => ({ list_folder: { accounts: [id] }, delta: { users: [] }, ...payload }),
      bodyMac("x-dropbox-signature"),
    ),
  ),
  github: plain(
    jsonSample(
      ({ id, payload }) => ({ zen: "A test event of Warren.", hook_id: id, ...payload }),
      merged(bodyMac("x-hub-signature-256", { prefix: "sha256=" }), ({ id, type }) => ({
        "x-github-event": type,
        "x-github-delivery": id,
      })),
    ),
  ),
  gitlab: withOptions(gitlabOptions, ({ scheme }, parts) =>
    scheme === "token" ? gitlabToken(parts) : jsonSample(gitlabBody, standardHeaders("webhook"))(parts),
  ),
  hmac: hmacSample,
  hubspot,
  intercom: plain(
    jsonSample(
      ({ id, type, payload }) => ({ type: "notification_event", id, topic: type, data: payload }),
      bodyMac("x-hub-signature", { prefix: "sha1=", algorithm: "sha1" }),
    ),
  ),
  jira: plain(
    jsonSample(
      ({ type, nowMs, payload }) => ({ timestamp: nowMs, webhookEvent: type, ...payload }),
      merged(bodyMac("x-hub-signature", { prefix: "sha256=" }), ({ id }) => ({ "x-atlassian-webhook-identifier": id })),
    ),
  ),
  linear: plain(
    jsonSample(
      ({ type, nowMs, payload }) => ({ action: "create", type, ...payload, webhookTimestamp: nowMs }),
      merged(bodyMac("linear-signature"), ({ id }) => ({ "linear-delivery": id })),
    ),
  ),
  mailgun: plain(mailgun),
  meta: plain(
    jsonSample(
      ({ id, type, nowMs, payload }) => ({ object: type, entry: [{ id, time: nowMs, ...payload }] }),
      bodyMac("x-hub-signature-256", { prefix: "sha256=" }),
    ),
  ),
  mtls: undefined,
  paddle: plain(
    jsonSample(
      ({ id, type, payload }) => ({ event_id: id, event_type: type, data: payload }),
      (parts, body) => {
        const time = seconds(parts);
        return { "paddle-signature": `ts=${time};h1=${mac("sha256", "hex", parts, [`${time}:${body}`])}` };
      },
    ),
  ),
  pagerduty: plain(
    jsonSample(
      ({ id, type, payload }) => ({ event: { id, event_type: type, data: payload } }),
      bodyMac("x-pagerduty-signature", { prefix: "v1=" }),
    ),
  ),
  paypal: undefined,
  postmark: plain(
    jsonSample(
      ({ id, type, payload }) => ({ RecordType: type, MessageID: id, ...payload }),
      (parts) => ({ authorization: basicAuthorization(parts) }),
      ["authorization"],
    ),
  ),
  resend: plain(standardSample("svix")),
  sendgrid: undefined,
  shopify: plain(
    jsonSample(
      idAndType,
      merged(bodyMac("x-shopify-hmac-sha256", { encoding: "base64" }), ({ id, type }) => ({
        "x-shopify-topic": type,
        "x-shopify-webhook-id": id,
      })),
    ),
  ),
  slack: plain(
    jsonSample(
      ({ id, type, payload }) => ({ type: "event_callback", event_id: id, event: { type, ...payload } }),
      (parts, body) => {
        const time = seconds(parts);
        const signature = mac("sha256", "hex", parts, [`v0:${time}:${body}`]);
        return { "x-slack-request-timestamp": time, "x-slack-signature": `v0=${signature}` };
      },
    ),
  ),
  square: withOptions(squareOptions, ({ publicUrl }, parts) =>
    jsonSample(
      ({ id, type, payload }) => ({ event_id: id, type, data: payload }),
      (_parts, body) => ({ "x-square-hmacsha256-signature": mac("sha256", "base64", parts, [publicUrl, body]) }),
    )(parts),
  ),
  "standard-webhooks": plain(standardSample("webhook")),
  stripe: plain(
    jsonSample(
      ({ id, type, payload }) => ({ id, object: "event", type, livemode: false, data: { object: payload } }),
      (parts, body) => {
        const time = seconds(parts);
        return { "stripe-signature": `t=${time},v1=${mac("sha256", "hex", parts, [`${time}.${body}`])}` };
      },
    ),
  ),
  svix: plain(standardSample("svix")),
  telegram: plain(
    jsonSample(
      // an update's id is a number
      ({ id, type, payload }) => ({
        update_id: Number.parseInt(id.replaceAll("-", "").slice(-12), 16),
        [type]: payload,
      }),
      (parts) => ({ "x-telegram-bot-api-secret-token": token(parts) }),
      ["x-telegram-bot-api-secret-token"],
    ),
  ),
  trello: withOptions(trelloOptions, ({ publicUrl }, parts) =>
    jsonSample(
      ({ id, type, payload }) => ({ action: { id, type, data: payload } }),
      (_parts, body) => ({ "x-trello-webhook": mac("sha1", "base64", parts, [body, publicUrl]) }),
    )(parts),
  ),
  twilio,
  typeform: plain(
    jsonSample(
      ({ id, type, payload }) => ({ event_id: id, event_type: type, form_response: payload }),
      bodyMac("typeform-signature", { prefix: "sha256=", encoding: "base64" }),
    ),
  ),
  yookassa: undefined,
  zendesk: plain(
    jsonSample(
      ({ id, type, payload }) => ({ id, type: `zen:event-type:${type}`, ...payload }),
      (parts, body) => {
        const time = new Date(parts.nowMs).toISOString();
        return {
          "x-zendesk-webhook-signature-timestamp": time,
          "x-zendesk-webhook-signature": mac("sha256", "base64", parts, [time, body]),
        };
      },
    ),
  ),
  zoom: plain(
    jsonSample(
      ({ id, type, nowMs, payload }) => ({ event: type, event_ts: nowMs, payload: { id, ...payload } }),
      (parts, body) => {
        const time = seconds(parts);
        const signature = mac("sha256", "hex", parts, [`v0:${time}:${body}`]);
        return { "x-zm-request-timestamp": time, "x-zm-signature": `v0=${signature}` };
      },
    ),
  ),
};
