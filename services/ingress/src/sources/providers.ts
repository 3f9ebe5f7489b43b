import { nearest } from "@warren/contracts";
import { verifyAdyen, verifyAdyenPlatform } from "../verify/adyen.ts";
import { verifyBitbucket } from "../verify/bitbucket.ts";
import { calendlyVerifier } from "../verify/calendly.ts";
import { discordVerifier } from "../verify/discord.ts";
import { verifyDropbox } from "../verify/dropbox.ts";
import { genericHmacVerifier } from "../verify/generic-hmac.ts";
import { verifyGithub } from "../verify/github.ts";
import { gitlabVerifier } from "../verify/gitlab.ts";
import { hubspotOptions, hubspotVerifier } from "../verify/hubspot.ts";
import { verifyIntercom } from "../verify/intercom.ts";
import { verifyJira } from "../verify/jira.ts";
import { linearVerifier } from "../verify/linear.ts";
import { mailgunOptions, mailgunVerifier } from "../verify/mailgun.ts";
import { metaOptions, metaVerifier } from "../verify/meta.ts";
import { gitlabOptions, hmacOptions, yookassaOptions } from "../verify/options.ts";
import { paddleVerifier } from "../verify/paddle.ts";
import { verifyPagerduty } from "../verify/pagerduty.ts";
import { paypalOptions, paypalVerifier } from "../verify/paypal.ts";
import { sendgridOptions, sendgridVerifier } from "../verify/sendgrid.ts";
import { verifyShopify } from "../verify/shopify.ts";
import { slackVerifier } from "../verify/slack.ts";
import { snsOptions, snsVerifier } from "../verify/sns.ts";
import { squareOptions, squareVerifier } from "../verify/square.ts";
import { verifyStandardWebhooks } from "../verify/standard-webhooks.ts";
import { verifyStripe } from "../verify/stripe.ts";
import { verifyTelegram } from "../verify/telegram.ts";
import { trelloOptions, trelloVerifier } from "../verify/trello.ts";
import { twilioOptions, twilioVerifier } from "../verify/twilio.ts";
import { verifyTypeform } from "../verify/typeform.ts";
import { answer } from "../verify/verdict.ts";
import { yookassaVerifier } from "../verify/yookassa.ts";
import { verifyZendesk } from "../verify/zendesk.ts";
import { zoomVerifier } from "../verify/zoom.ts";
import { accessProviders } from "./access-providers.ts";
import {
  defineProvider,
  form,
  json,
  keyedProvider,
  type Provider,
  plainProvider,
  receipt200,
  timedProvider,
} from "./provider.ts";
import { p256Key, rsaKey } from "./public-key.ts";
import { base64Key, ed25519Key, gitlabKey, hexKey, standardKey, telegramKey, textKey } from "./secret.ts";

/** Every kind of sender. A new one is one more entry, in the order of the alphabet. */
export const providers = {
  ...accessProviders,
  // older integrations of Adyen want to read this text
  adyen: plainProvider(verifyAdyen, { secret: hexKey, ack: answer(200, "text/plain", "[accepted]") }),
  "adyen-platform": plainProvider(verifyAdyenPlatform, { secret: hexKey }),
  // SNS calls its JSON text/plain
  "aws-sns": keyedProvider(snsOptions, snsVerifier, {
    secret: rsaKey,
    contentTypes: ["text/plain", ...json],
    ack: receipt200,
  }),
  bitbucket: plainProvider(verifyBitbucket),
  calendly: timedProvider(calendlyVerifier, { toleranceSeconds: 180 }),
  clerk: plainProvider(verifyStandardWebhooks, { secret: standardKey }),
  discord: timedProvider(discordVerifier, { secret: ed25519Key }),
  dropbox: plainProvider(verifyDropbox, { methods: ["POST", "GET"], ack: receipt200 }),
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
  hubspot: keyedProvider(hubspotOptions, hubspotVerifier),
  intercom: plainProvider(verifyIntercom, { ack: receipt200 }),
  jira: plainProvider(verifyJira),
  linear: timedProvider(linearVerifier, { toleranceSeconds: 60, ack: receipt200 }),
  // only 200 and 406 stop Mailgun from sending again
  mailgun: keyedProvider(mailgunOptions, mailgunVerifier, { contentTypes: [...json, ...form], ack: receipt200 }),
  meta: keyedProvider(metaOptions, metaVerifier, { methods: ["POST", "GET"], ack: receipt200 }),
  paddle: timedProvider(paddleVerifier, { ack: receipt200 }),
  pagerduty: plainProvider(verifyPagerduty),
  paypal: keyedProvider(paypalOptions, paypalVerifier, { secret: rsaKey, ack: receipt200 }),
  resend: plainProvider(verifyStandardWebhooks, { secret: standardKey, ack: receipt200 }),
  sendgrid: keyedProvider(sendgridOptions, sendgridVerifier, { secret: p256Key }),
  shopify: plainProvider(verifyShopify, { ack: receipt200 }),
  slack: timedProvider(slackVerifier, { contentTypes: [...json, ...form] }),
  square: keyedProvider(squareOptions, squareVerifier),
  "standard-webhooks": plainProvider(verifyStandardWebhooks, { secret: standardKey }),
  stripe: plainProvider(verifyStripe),
  svix: plainProvider(verifyStandardWebhooks, { secret: standardKey }),
  // a body would be taken for a call of the Bot API
  telegram: plainProvider(verifyTelegram, { secret: telegramKey, ack: answer(200) }),
  trello: keyedProvider(trelloOptions, trelloVerifier, { methods: ["POST", "HEAD"], ack: receipt200 }),
  // TwiML that says nothing: Twilio reports anything else as an error of ours
  twilio: keyedProvider(twilioOptions, twilioVerifier, {
    contentTypes: [...form, ...json],
    methods: ["POST", "GET"],
    ack: answer(200, "text/xml", "<Response/>"),
  }),
  typeform: plainProvider(verifyTypeform),
  yookassa: defineProvider({
    options: yookassaOptions,
    verifier: ({ addresses }) => yookassaVerifier(addresses),
    secret: undefined,
    // any other status, 202 included, makes YooKassa send again for 24 hours
    ack: receipt200,
  }),
  zendesk: plainProvider(verifyZendesk),
  // Zoom takes 200 and 204 only
  zoom: timedProvider(zoomVerifier, { ack: receipt200 }),
} as const satisfies Record<string, Provider>;

export type ProviderName = keyof typeof providers;

export const providerNames = Object.keys(providers) as [ProviderName, ...ProviderName[]];

/** What to say of a provider that there is not: the one that was meant, or all of them. Never what was given. */
export function providerExpected(given: unknown): string {
  const near = typeof given === "string" ? nearest(given, providerNames) : undefined;
  return near === undefined
    ? `expected one of ${providerNames.join(", ")}`
    : `no such provider; did you mean "${near}"?`;
}

export function isProviderName(name: string): name is ProviderName {
  return Object.hasOwn(providers, name);
}
