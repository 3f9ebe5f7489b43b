import { type SourceTraits, sourceTraits, WarrenError } from "@warren/contracts";
import { type KeyRing, openText } from "@warren/jobs";
import type { SourceRecord, SourceSecretRecord } from "@warren/ledger";
import { z } from "zod";
import type { Secret } from "../verify/verdict.ts";
import { openProvider, openSource, secretOf } from "./open.ts";
import { type ProviderName, providers } from "./providers.ts";
import { openOptions } from "./sealed-options.ts";
import type { Source } from "./source.ts";

/** A source of the database, ready to judge, or the reason why it is not. */
export interface OpenedRecord {
  readonly record: SourceRecord;
  /** With secrets in clear; `undefined` when it cannot judge anything. */
  readonly source: Source | undefined;
  /** What keeps it from judging, or from judging by all of its secrets. */
  readonly problem: string | undefined;
}

/** Tolerant: a newer version may have written more. */
const storedTraits = z.object(sourceTraits);

export function isProvider(name: string): name is ProviderName {
  return Object.hasOwn(providers, name);
}

export const secretOwner = (sourceId: string, secretId: string): string =>
  `webhook-source/${sourceId}/secret/${secretId}`;

/** The settings as they were given. @throws PayloadError, ZodError when they cannot be read. */
export function traitsOf(
  record: Pick<SourceRecord, "id" | "settings">,
  provider: ProviderName,
  keyRing: KeyRing | undefined,
): SourceTraits {
  const traits = storedTraits.parse(record.settings);
  return { ...traits, options: openOptions(record.id, provider, traits.options, keyRing) };
}

/** Never throws: a source that cannot be opened is one that tells why. */
export function openRecord(record: SourceRecord, keyRing: KeyRing | undefined): OpenedRecord {
  const { name, provider } = record;
  if (!isProvider(provider)) {
    return { record, source: undefined, problem: `this version of Warren does not know the provider "${provider}"` };
  }
  try {
    const traits = traitsOf(record, provider, keyRing);
    const opened = openProvider({ provider, ...traits });
    const problems: string[] = [];
    const secrets = record.secrets.flatMap((secret): readonly Secret[] => {
      try {
        return [secretOf(opened.secretKey(secretText(record, secret, keyRing)), secret)];
      } catch (error) {
        problems.push(reasonOf(error));
        return [];
      }
    });
    const source = openSource(name, { provider, ...traits }, opened);
    return {
      record,
      source: { ...source, enabled: record.enabled, secrets },
      problem: problems.length === 0 ? undefined : problems.join("; "),
    };
  } catch (error) {
    return { record, source: undefined, problem: reasonOf(error) };
  }
}

/** @throws PayloadError `PAYLOAD_KEY_UNKNOWN`, `PAYLOAD_SEAL_BROKEN`. */
export function secretText(
  { id }: Pick<SourceRecord, "id">,
  secret: Pick<SourceSecretRecord, "id" | "sealed">,
  keyRing: KeyRing | undefined,
): string {
  return openText(secretOwner(id, secret.id), secret.sealed, keyRing);
}

function reasonOf(error: unknown): string {
  if (error instanceof z.ZodError) return z.prettifyError(error);
  if (error instanceof WarrenError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
