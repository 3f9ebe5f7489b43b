import type { KeyObject } from "node:crypto";
import { addressesOptions, addressesVerifier } from "../verify/addresses.ts";
import {
  apiKeyOptions,
  apiKeyVerifier,
  basicVerifier,
  bearerVerifier,
  credentialsOptions,
} from "../verify/credentials.ts";
import { mtlsOptions, mtlsVerifier } from "../verify/mtls.ts";
import { postmarkOptions, postmarkVerifier } from "../verify/postmark.ts";
import { defineProvider, keyedProvider, type Method, receipt200 } from "./provider.ts";
import { textKey } from "./secret.ts";

const writing: readonly Method[] = ["POST", "PUT", "PATCH"];
const anything = { contentTypes: ["*"], methods: writing };

/** Basic credentials as text. */
function credentialsKey(text: string): KeyObject {
  if (!/^[^:]+:.+$/s.test(text)) throw new RangeError("is not user:password");
  return textKey(text);
}

/** Senders that prove who they are, and nothing about the body: all rests on TLS. */
export const accessProviders = {
  addresses: defineProvider({ options: addressesOptions, verifier: addressesVerifier, secret: undefined, ...anything }),
  "api-key": keyedProvider(apiKeyOptions, apiKeyVerifier, anything),
  basic: keyedProvider(credentialsOptions, basicVerifier, { ...anything, secret: credentialsKey }),
  bearer: keyedProvider(credentialsOptions, bearerVerifier, anything),
  mtls: defineProvider({ options: mtlsOptions, verifier: mtlsVerifier, secret: undefined, ...anything }),
  // any other status than 200 makes Postmark send again
  postmark: keyedProvider(postmarkOptions, postmarkVerifier, { secret: credentialsKey, ack: receipt200 }),
} as const;
