import { verifyBitbucket } from "../verify/bitbucket.ts";
import { calendlyVerifier } from "../verify/calendly.ts";
import { discordVerifier } from "../verify/discord.ts";
import { genericHmacVerifier } from "../verify/generic-hmac.ts";
import { verifyGithub } from "../verify/github.ts";
import { gitlabVerifier } from "../verify/gitlab.ts";
import { verifyIntercom } from "../verify/intercom.ts";
import { verifyJira } from "../verify/jira.ts";
import { linearVerifier } from "../verify/linear.ts";
import { gitlabOptions, hmacOptions, yookassaOptions } from "../verify/options.ts";
import { paddleVerifier } from "../verify/paddle.ts";
import { verifyShopify } from "../verify/shopify.ts";
import { slackVerifier } from "../verify/slack.ts";
import { verifyStandardWebhooks } from "../verify/standard-webhooks.ts";
import { verifyStripe } from "../verify/stripe.ts";
import { verifyTelegram } from "../verify/telegram.ts";
import { answer } from "../verify/verdict.ts";
import { yookassaVerifier } from "../verify/yookassa.ts";
import { zoomVerifier } from "../verify/zoom.ts";
import { defineProvider, form, json, type Provider, plainProvider, timedProvider } from "./provider.ts";
import { base64Key, ed25519Key, gitlabKey, hexKey, standardKey, telegramKey, textKey } from "./secret.ts";

/** Every kind of sender. A new one is one more entry, in the order of the alphabet. */
export const providers = {
  bitbucket: plainProvider(verifyBitbucket),
  calendly: timedProvider(calendlyVerifier, { toleranceSeconds: 180 }),
  clerk: plainProvider(verifyStandardWebhooks, { secret: standardKey }),
  discord: timedProvider(discordVerifier, { secret: ed25519Key }),
  github: plainProvider(verifyGithub, { contentTypes: [...json, ...form] }),
  gitlab: defineProvider({ options: gitlabOptions, verifier: gitlabVerifier, secret: gitlabKey }),
  hmac: defineProvider({
    options: hmacOptions,
    verifier: genericHmacVerifier,
    secret: ({ secretEncoding }, text) => {
      if (secretEncoding === "hex") return hexKey(text);
      return secretEncoding === "base64" ? base64Key(text) : textKey(text);
    },
    contentTypes: ["*"],
    methods: ["POST", "PUT", "PATCH"],
  }),
  intercom: plainProvider(verifyIntercom, { ack: { kind: "receipt", status: 200 } }),
  jira: plainProvider(verifyJira),
  linear: timedProvider(linearVerifier, { toleranceSeconds: 60, ack: { kind: "receipt", status: 200 } }),
  paddle: timedProvider(paddleVerifier, { ack: { kind: "receipt", status: 200 } }),
  resend: plainProvider(verifyStandardWebhooks, { secret: standardKey, ack: { kind: "receipt", status: 200 } }),
  shopify: plainProvider(verifyShopify, { ack: { kind: "receipt", status: 200 } }),
  slack: timedProvider(slackVerifier, { contentTypes: [...json, ...form] }),
  "standard-webhooks": plainProvider(verifyStandardWebhooks, { secret: standardKey }),
  stripe: plainProvider(verifyStripe),
  svix: plainProvider(verifyStandardWebhooks, { secret: standardKey }),
  // a body would be taken for a call of the Bot API
  telegram: plainProvider(verifyTelegram, { secret: telegramKey, ack: answer(200) }),
  yookassa: defineProvider({
    options: yookassaOptions,
    verifier: ({ addresses }) => yookassaVerifier(addresses),
    secret: undefined,
    // any other status, 202 included, makes YooKassa send again for 24 hours
    ack: { kind: "receipt", status: 200 },
  }),
  // Zoom takes 200 and 204 only
  zoom: timedProvider(zoomVerifier, { ack: { kind: "receipt", status: 200 } }),
} as const satisfies Record<string, Provider>;

export type ProviderName = keyof typeof providers;

export const providerNames = Object.keys(providers) as [ProviderName, ...ProviderName[]];
