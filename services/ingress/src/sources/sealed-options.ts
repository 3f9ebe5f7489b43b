import { type KeyRing, openText, sealText } from "@warren/jobs";
import { z } from "zod";
import type { ProviderName } from "./providers.ts";

/** Options that are secrets. They are sealed in the database, and nobody is shown them. */
const secretOptions: Partial<Record<ProviderName, readonly string[]>> = { meta: ["verifyToken"] };

type Options = Readonly<Record<string, unknown>>;

const sealedOption = z.strictObject({ $sealed: z.string() });

/** What is shown instead of a secret; given back, it means "as it is". */
export const masked = "***";

const ownerOf = (sourceId: string, option: string): string => `webhook-source/${sourceId}/option/${option}`;

function mapped(
  provider: ProviderName,
  options: Options,
  change: (value: unknown, option: string) => unknown,
): Options {
  const secret = secretOptions[provider] ?? [];
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name, secret.includes(name) ? change(value, name) : value]),
  );
}

/** As they are kept. @throws PayloadError `PAYLOAD_KEY_RING_MISSING`. */
export function sealOptions(
  sourceId: string,
  provider: ProviderName,
  options: Options,
  keyRing: KeyRing | undefined,
): Options {
  return mapped(provider, options, (value, option) => ({
    $sealed: sealText(ownerOf(sourceId, option), String(value), keyRing),
  }));
}

/** @throws PayloadError `PAYLOAD_KEY_UNKNOWN`, `PAYLOAD_SEAL_BROKEN`. */
export function openOptions(
  sourceId: string,
  provider: ProviderName,
  options: Options,
  keyRing: KeyRing | undefined,
): Options {
  return mapped(provider, options, (value, option) => {
    const sealed = sealedOption.safeParse(value);
    return sealed.success ? openText(ownerOf(sourceId, option), sealed.data.$sealed, keyRing) : value;
  });
}

export function maskOptions(provider: ProviderName, options: Options): Options {
  return mapped(provider, options, () => masked);
}

/** New options, with those that came back masked as they were. */
export function unmaskOptions(provider: ProviderName, options: Options, before: Options): Options {
  return mapped(provider, options, (value, option) => (value === masked ? before[option] : value));
}
