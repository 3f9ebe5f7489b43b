import type { KeyObject } from "node:crypto";
import type { SourceTraits } from "@warren/contracts";
import type { SourceRate } from "@warren/ledger";
import { answer, type Secret, type Verify } from "../verify/verdict.ts";
import { type ProviderName, providers } from "./providers.ts";
import { contentTypeRule, type Source } from "./source.ts";

export interface SourceParts extends SourceTraits {
  readonly provider: ProviderName;
}

export interface OpenProvider {
  readonly verify: Verify;
  readonly secretKey: (text: string) => KeyObject;
}

/** Checks the options. Throws a `ZodError`. */
export function openProvider({ provider, options }: SourceParts): OpenProvider {
  return providers[provider].open(options);
}

/** An enabled source without its secrets. */
export function openSource(name: string, parts: SourceParts, { verify }: Pick<OpenProvider, "verify">): Source {
  const provider = providers[parts.provider];
  const contentTypes = parts.contentTypes ?? provider.contentTypes;
  const { rateLimit } = parts;
  return {
    name,
    provider: parts.provider,
    verify,
    secrets: [],
    maxBodyBytes: parts.maxBodyBytes,
    takesContentType: contentTypeRule(contentTypes),
    contentTypes,
    methods: provider.methods,
    enabled: true,
    limit: rateLimit === undefined ? undefined : rateOf(rateLimit),
    rateLimit,
    options: parts.options,
    ack:
      parts.answer === undefined
        ? provider.ack
        : answer(parts.answer.status, parts.answer.contentType, parts.answer.body),
  };
}

/** Without a burst of its own: one second's worth. */
function rateOf({ perSecond, burst }: NonNullable<SourceTraits["rateLimit"]>): SourceRate {
  return { perSecond, burst: burst ?? Math.max(1, Math.ceil(perSecond)) };
}

export interface Period {
  readonly notBefore: Date | undefined;
  readonly notAfter: Date | undefined;
}

export function secretOf(key: KeyObject, { notBefore, notAfter }: Period): Secret {
  return {
    key,
    notBeforeMs: notBefore?.getTime() ?? Number.NEGATIVE_INFINITY,
    notAfterMs: notAfter?.getTime() ?? Number.POSITIVE_INFINITY,
  };
}
