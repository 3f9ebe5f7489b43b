import { randomBytes as cryptoRandomBytes } from "node:crypto";
import type { ProviderName } from "./providers.ts";

type RandomBytes = (size: number) => Buffer;

const hex = (random: RandomBytes): string => random(32).toString("hex");
const standard = (random: RandomBytes): string => `whsec_${random(32).toString("base64")}`;
const credentials = (random: RandomBytes): string => `warren:${random(24).toString("hex")}`;

interface Options {
  readonly scheme?: unknown;
  readonly secretEncoding?: unknown;
}

/** Providers where whoever sets the webhook up chooses its secret. Everywhere else the provider makes it. */
const makers: Partial<Record<ProviderName, (random: RandomBytes, options: Options) => string | undefined>> = {
  "api-key": hex,
  basic: credentials,
  bearer: hex,
  bitbucket: hex,
  calendly: hex,
  github: hex,
  gitlab: (random, { scheme }) => (scheme === "signature" ? undefined : hex(random)),
  hmac: (random, { secretEncoding }) => (secretEncoding === "base64" ? random(32).toString("base64") : hex(random)),
  jira: hex,
  postmark: credentials,
  "standard-webhooks": standard,
  telegram: hex,
  typeform: hex,
};

export function choosesSecret(provider: ProviderName): boolean {
  return makers[provider] !== undefined;
}

/** A new secret of at least 192 random bits in the provider's form; `undefined` where the provider makes it. */
export function makeSecret(
  provider: ProviderName,
  options: Options,
  random: RandomBytes = cryptoRandomBytes,
): string | undefined {
  return makers[provider]?.(random, options);
}
