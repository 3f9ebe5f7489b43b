import type { z } from "zod";
import { genericHmacVerifier } from "../verify/generic-hmac.ts";
import { verifyGithub } from "../verify/github.ts";
import { hmacOptions, noOptions, yookassaOptions } from "../verify/options.ts";
import { verifyStandardWebhooks } from "../verify/standard-webhooks.ts";
import { verifyStripe } from "../verify/stripe.ts";
import type { Verify } from "../verify/verdict.ts";
import { yookassaVerifier } from "../verify/yookassa.ts";
import { base64Key, hexKey, textKey } from "./secret.ts";

interface ProviderDefinition<Options> {
  /** Settings of a source of this provider, with their defaults. */
  readonly options: z.ZodType<Options>;
  readonly verifier: (options: Options) => Verify;
  /** How a secret is written; `undefined`: the provider has no secrets. Throws a `RangeError` that says what is wrong. */
  readonly secret: ((options: Options, text: string) => Buffer) | undefined;
  /** Media types taken by default; `*` takes any. */
  readonly contentTypes: readonly string[];
  readonly ackStatus: 200 | 202;
}

/** How a kind of sender is verified and answered. A new provider is one more entry of `providers`. */
export interface Provider {
  readonly contentTypes: readonly string[];
  readonly ackStatus: 200 | 202;
  readonly hasSecrets: boolean;
  /** Checks the options of a source (throws a `ZodError`) and makes its verifier. */
  readonly open: (options: unknown) => { readonly verify: Verify; readonly secretKey: (text: string) => Buffer };
}

function defineProvider<Options>(definition: ProviderDefinition<Options>): Provider {
  const { contentTypes, ackStatus, secret } = definition;
  return {
    contentTypes,
    ackStatus,
    hasSecrets: secret !== undefined,
    open: (raw) => {
      const options = definition.options.parse(raw);
      const secretKey = (text: string) => {
        if (secret === undefined) throw new RangeError("is of no use: the provider signs nothing");
        return secret(options, text);
      };
      return { verify: definition.verifier(options), secretKey };
    },
  };
}

const json = ["application/json", "application/*+json"] as const;

export const providers = {
  github: defineProvider({
    options: noOptions,
    verifier: () => verifyGithub,
    secret: (_options, text) => textKey(text),
    contentTypes: [...json, "application/x-www-form-urlencoded"],
    ackStatus: 202,
  }),
  stripe: defineProvider({
    options: noOptions,
    verifier: () => verifyStripe,
    secret: (_options, text) => textKey(text),
    contentTypes: json,
    ackStatus: 202,
  }),
  yookassa: defineProvider({
    options: yookassaOptions,
    verifier: ({ addresses }) => yookassaVerifier(addresses),
    secret: undefined,
    contentTypes: json,
    // any other status, 202 included, makes YooKassa send again for 24 hours
    ackStatus: 200,
  }),
  "standard-webhooks": defineProvider({
    options: noOptions,
    verifier: () => verifyStandardWebhooks,
    secret: (_options, text) => base64Key(text.startsWith("whsec_") ? text.slice("whsec_".length) : text),
    contentTypes: json,
    ackStatus: 202,
  }),
  hmac: defineProvider({
    options: hmacOptions,
    verifier: genericHmacVerifier,
    secret: ({ secretEncoding }, text) => {
      if (secretEncoding === "hex") return hexKey(text);
      return secretEncoding === "base64" ? base64Key(text) : textKey(text);
    },
    contentTypes: ["*"],
    ackStatus: 202,
  }),
} as const satisfies Record<string, Provider>;

export type ProviderName = keyof typeof providers;

export const providerNames = Object.keys(providers) as [ProviderName, ...ProviderName[]];
