import {
  type NewSourceBody,
  type SecretRotation,
  type SourcePatch,
  type SourceTraits,
  type SourceView,
  WarrenError,
} from "@warren/contracts";
import { type KeyRing, sealText } from "@warren/jobs";
import type { NewSourceSecret, SourceChange, SourceRecord, SourceStore } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import { z } from "zod";
import { problemsAt, requestInvalid } from "../http/request-invalid.ts";
import type { LiveSources } from "./live.ts";
import { makeSecret } from "./make-secret.ts";
import { type OpenProvider, openProvider } from "./open.ts";
import { type ProviderName, providerExpected, providers } from "./providers.ts";
import { isProvider, openRecord, secretOwner, secretText, traitsOf } from "./record.ts";
import { sealOptions, unmaskOptions } from "./sealed-options.ts";
import { configuredView, recordView } from "./view.ts";

export interface SourceManagerOptions {
  readonly store: SourceStore;
  readonly live: Pick<LiveSources, "configured" | "refresh">;
  readonly keyRing: KeyRing | undefined;
  readonly newId: () => string;
  readonly now: () => number;
  readonly log: Logger;
}

interface SourceAndSecret {
  readonly source: SourceView;
  /** A secret that was made; shown this once. */
  readonly secret: string | null;
}

/** What people do to sources at run time. Every method throws a `WarrenError` with a code of the catalogue. */
export interface SourceManager {
  /** All, by name. */
  list(): Promise<readonly SourceView[]>;
  find(name: string): Promise<SourceView>;
  create(source: NewSourceBody): Promise<SourceAndSecret>;
  update(name: string, patch: SourcePatch): Promise<SourceView>;
  remove(name: string): Promise<void>;
  /** Adds a secret, and ends those before it after the overlap. Forgets those that have ended. */
  rotate(name: string, rotation: SecretRotation): Promise<SourceAndSecret>;
  revoke(name: string, secretId: string): Promise<SourceView>;
}

/** Every current one costs every forged request a signature. */
const maxSecrets = 10;

export function createSourceManager(options: SourceManagerOptions): SourceManager {
  const { store, live, keyRing, newId, now, log } = options;

  const view = (record: SourceRecord): SourceView =>
    recordView(openRecord(record, keyRing), now(), live.configured().has(record.name));

  /** The change is committed: this process sees it at once, and if it cannot, a second later like the others. */
  async function changed(): Promise<void> {
    await live
      .refresh()
      .catch((error: unknown) => log.warn({ err: error }, "a changed source is served a little later"));
  }

  function assertChangeable(name: string): void {
    if (!live.configured().has(name)) return;
    throw new WarrenError("SOURCE_FROM_CONFIGURATION", `the source ${name} is the configuration's`);
  }

  async function change(name: string, decide: (record: SourceRecord) => SourceChange): Promise<SourceView> {
    assertChangeable(name);
    const record = await store.change(name, decide);
    if (record === undefined) throw unknownSource(name);
    await changed();
    return view(record);
  }

  function sealed(sourceId: string, secret: { readonly value: string } & Partial<Period>): NewSourceSecret {
    const id = newId();
    return {
      id,
      sealed: sealText(secretOwner(sourceId, id), secret.value, keyRing),
      notBefore: dateOf(secret.notBefore),
      notAfter: dateOf(secret.notAfter),
    };
  }

  return {
    async list() {
      const { sources } = await store.load();
      const configured = [...live.configured().values()].map((source) => configuredView(source, now()));
      return [...configured, ...sources.map(view)].toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    },

    async find(name) {
      const configured = live.configured().get(name);
      if (configured !== undefined) return configuredView(configured, now());
      const record = await store.find(name);
      if (record === undefined) throw unknownSource(name);
      return view(record);
    },

    async create({ name, provider, enabled, secrets, ...traits }) {
      if (!isProvider(provider)) {
        throw requestInvalid([{ path: "body.provider", message: providerExpected(provider) }]);
      }
      if (live.configured().has(name)) throw nameTaken(name);
      const opened = checked(provider, traits);
      const id = newId();
      const made = secrets.length === 0 ? madeSecret(provider, traits) : undefined;
      const given = made === undefined ? secrets : [{ value: made }];
      assertReadable(
        opened,
        given.map(({ value }) => value),
        (at) => `body.secrets.${at}.value`,
      );
      const record = await store.create({
        id,
        name,
        provider,
        enabled,
        settings: { ...traits, options: sealOptions(id, provider, traits.options, keyRing) },
        secrets: given.map((secret) => sealed(id, secret)),
      });
      if (record === undefined) throw nameTaken(name);
      await changed();
      return { source: view(record), secret: made ?? null };
    },

    update: (name, { enabled, ...patch }) =>
      change(name, (record) => {
        const switched = enabled === undefined ? {} : { enabled };
        if (Object.keys(patch).length === 0) return switched;
        const provider = providerOf(record);
        const before = traitsOf(record, provider, keyRing);
        const traits = patched(provider, before, patch);
        const opened = checked(provider, traits);
        // the same text may be another key under other options, or none
        const values = record.secrets.map((secret) => secretText(record, secret, keyRing));
        assertReadable(opened, values, () => "body.options");
        const options = sealOptions(record.id, provider, traits.options, keyRing);
        return { ...switched, settings: { ...traits, options } };
      }),

    async remove(name) {
      assertChangeable(name);
      if (!(await store.remove(name))) throw unknownSource(name);
      await changed();
    },

    async rotate(name, { value, overlapSeconds }) {
      let made: string | undefined;
      const source = await change(name, (record) => {
        const provider = providerOf(record);
        const traits = traitsOf(record, provider, keyRing);
        if (value === undefined) made = madeSecret(provider, traits);
        const text = value ?? made ?? "";
        assertReadable(checked(provider, traits), [text], () => "body.value");
        const nowMs = now();
        const end = new Date(nowMs + overlapSeconds * 1000);
        const ended = record.secrets.filter(({ notBefore, notAfter }) => {
          const over = notAfter !== undefined && notAfter.getTime() <= nowMs;
          return over || (overlapSeconds === 0 && !isAhead(notBefore, nowMs));
        });
        const kept = record.secrets.filter((secret) => !ended.includes(secret));
        if (kept.length >= maxSecrets) throw secretsFull(name);
        return {
          addSecrets: [sealed(record.id, { value: text })],
          removeSecrets: ended.map(({ id }) => id),
          endSecrets: kept
            .filter(
              ({ notBefore, notAfter }) => !isAhead(notBefore, nowMs) && (notAfter === undefined || notAfter > end),
            )
            .map(({ id }) => ({ id, notAfter: end })),
        };
      });
      return { source, secret: made ?? null };
    },

    revoke: (name, secretId) =>
      change(name, (record) => {
        if (!record.secrets.some(({ id }) => id === secretId)) {
          throw new WarrenError("SOURCE_SECRET_UNKNOWN", `the source ${name} has no secret ${secretId}`);
        }
        const left = record.secrets.filter(
          ({ id, notAfter }) => id !== secretId && (notAfter === undefined || notAfter.getTime() > now()),
        );
        if (left.length === 0) throw new WarrenError("SOURCE_SECRET_LAST", `${secretId} is the last secret of ${name}`);
        return { removeSecrets: [secretId] };
      }),
  };
}

interface Period {
  readonly notBefore: string | undefined;
  readonly notAfter: string | undefined;
}

const dateOf = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text));

const isAhead = (notBefore: Date | undefined, nowMs: number): boolean =>
  notBefore !== undefined && notBefore.getTime() > nowMs;

function patched(provider: ProviderName, before: SourceTraits, patch: Omit<SourcePatch, "enabled">): SourceTraits {
  const { options = before.options, ...rest } = patch;
  const all = { ...before, ...rest, options: unmaskOptions(provider, options, before.options) };
  // null is the provider's default again
  return Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== null && value !== undefined),
  ) as SourceTraits;
}

/** Opens the provider with these options, or says which of them is wrong. */
function checked(provider: ProviderName, traits: SourceTraits): OpenProvider {
  try {
    return openProvider({ provider, ...traits });
  } catch (error) {
    if (error instanceof z.ZodError) throw requestInvalid(problemsAt("body.options", error));
    throw error;
  }
}

function assertReadable({ secretKey }: OpenProvider, values: readonly string[], place: (at: number) => string): void {
  for (const [at, value] of values.entries()) {
    try {
      secretKey(value);
    } catch (error) {
      // the readers' messages never hold the secret
      const message = `the secret ${error instanceof Error ? error.message : "cannot be read"}`;
      throw requestInvalid([{ path: place(at), message }]);
    }
  }
}

function madeSecret(provider: ProviderName, { options }: SourceTraits): string | undefined {
  if (!providers[provider].hasSecrets) return undefined;
  const made = makeSecret(provider, options);
  if (made === undefined) throw new WarrenError("SOURCE_SECRET_REQUIRED", `${provider} makes its secrets itself`);
  return made;
}

function providerOf({ provider }: SourceRecord): ProviderName {
  if (isProvider(provider)) return provider;
  throw requestInvalid([{ path: "path.name", message: `its provider "${provider}" is unknown to this version` }]);
}

function unknownSource(name: string): WarrenError {
  return new WarrenError("WEBHOOK_SOURCE_UNKNOWN", `there is no source ${name}`);
}

function nameTaken(name: string): WarrenError {
  return new WarrenError("SOURCE_NAME_TAKEN", `there is a source ${name} already`);
}

function secretsFull(name: string): WarrenError {
  return new WarrenError("SOURCE_SECRETS_FULL", `the source ${name} has ${maxSecrets} secrets already`);
}
