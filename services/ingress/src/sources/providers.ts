import { genericHmacVerifier } from "../verify/generic-hmac.ts";
import { verifyGithub } from "../verify/github.ts";
import { hmacOptions, yookassaOptions } from "../verify/options.ts";
import { verifyStandardWebhooks } from "../verify/standard-webhooks.ts";
import { verifyStripe } from "../verify/stripe.ts";
import { yookassaVerifier } from "../verify/yookassa.ts";
import { defineProvider, form, json, type Provider, plainProvider } from "./provider.ts";
import { base64Key, hexKey, standardKey, textKey } from "./secret.ts";

/** Every kind of sender. A new one is one more entry, in the order of the alphabet. */
export const providers = {
  github: plainProvider(verifyGithub, { contentTypes: [...json, ...form] }),
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
  "standard-webhooks": plainProvider(verifyStandardWebhooks, { secret: standardKey }),
  stripe: plainProvider(verifyStripe),
  yookassa: defineProvider({
    options: yookassaOptions,
    verifier: ({ addresses }) => yookassaVerifier(addresses),
    secret: undefined,
    // any other status, 202 included, makes YooKassa send again for 24 hours
    ack: { kind: "receipt", status: 200 },
  }),
} as const satisfies Record<string, Provider>;

export type ProviderName = keyof typeof providers;

export const providerNames = Object.keys(providers) as [ProviderName, ...ProviderName[]];
