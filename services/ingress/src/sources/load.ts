import type { KeyObject } from "node:crypto";
import { sourceName, WarrenError } from "@warren/contracts";
import { z } from "zod";
import type { Secret } from "../verify/verdict.ts";
import { openProvider, openSource, secretOf } from "./open.ts";
import { providers } from "./providers.ts";
import { type SecretSetting, type SourceSettings, sourceSettings, sourcesSettings } from "./settings.ts";
import type { Source, SourceMap } from "./source.ts";

/** What sources are read from; files are read once, at start. */
export interface SourcesInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The JSON of WARREN_SOURCES (or of the file that WARREN_SOURCES_FILE names). */
  readonly sources: string | undefined;
  readonly readFile: (path: string) => string;
}

const prefix = "WARREN_SOURCE_";

/**
 * Reads every source: those of WARREN_SOURCES, and one a variable:
 *
 *     WARREN_SOURCE_GITHUB=github                      the provider alone, or the JSON of one source
 *     WARREN_SOURCE_GITHUB_SECRET=new,old              its secrets, or …
 *     WARREN_SOURCE_GITHUB_SECRET_FILE=/run/secrets/x  … one a line
 *
 * `WARREN_SOURCE_SHOP_EU` is the source `shop-eu`. Throws CONFIG_INVALID, which names the variable and never shows a secret.
 */
export function loadSources(input: SourcesInput): SourceMap {
  const sources = new Map<string, Source>();
  const origins = new Map<string, string>();
  for (const { name, origin, settings } of [...fromJson(input), ...fromVariables(input)]) {
    const earlier = origins.get(name);
    if (earlier !== undefined) throw invalid(origin, `defines the source ${name}, which ${earlier} defines too`);
    origins.set(name, origin);
    sources.set(name, openConfigured(name, settings, origin, input));
  }
  return sources;
}

interface NamedSettings {
  readonly name: string;
  readonly origin: string;
  readonly settings: SourceSettings;
}

function* fromJson(input: SourcesInput): Generator<NamedSettings> {
  if (input.sources === undefined || input.sources.trim() === "") return;
  const all = parsed(sourcesSettings, json(input.sources, "WARREN_SOURCES"), "WARREN_SOURCES");
  for (const [name, settings] of Object.entries(all)) yield { name, origin: "WARREN_SOURCES", settings };
}

function* fromVariables(input: SourcesInput): Generator<NamedSettings> {
  const named = new Set<string>();
  for (const variable of Object.keys(input.env)) {
    if (variable.startsWith(prefix)) named.add(variable.slice(prefix.length).replace(/(?:_SECRET)?(?:_FILE)?$/, ""));
  }
  for (const key of named) {
    const origin = `${prefix}${key}`;
    const name = key.toLowerCase().replaceAll("_", "-");
    if (!sourceName.safeParse(name).success) throw invalid(origin, `${JSON.stringify(name)} cannot name a source`);
    const text = valueOf(origin, input)?.trim();
    if (text === undefined || text === "") {
      throw invalid(origin, `is missing, though ${origin}_SECRET is set: give the provider, such as ${origin}=github`);
    }
    const raw = text.startsWith("{") ? json(text, origin) : { provider: text };
    const settings = parsed(sourceSettings, raw, origin);
    const secrets = (valueOf(`${origin}_SECRET`, input) ?? "")
      .split(/[,\n]/)
      .map((secret) => secret.trim())
      .filter((secret) => secret !== "");
    yield { name, origin, settings: { ...settings, secrets: [...settings.secrets, ...secrets] } };
  }
}

function openConfigured(name: string, settings: SourceSettings, origin: string, input: SourcesInput): Source {
  const readSecrets = (secretKey: (text: string) => KeyObject): readonly Secret[] =>
    settings.secrets.map((setting, at) =>
      attempt(origin, `secret ${at + 1} of ${name}`, () => {
        const period = typeof setting === "string" ? {} : setting;
        return secretOf(secretKey(secretText(setting, input)), {
          notBefore: period.notBefore === undefined ? undefined : new Date(period.notBefore),
          notAfter: period.notAfter === undefined ? undefined : new Date(period.notAfter),
        });
      }),
    );
  const provider = attempt(origin, `${name}.options`, () => openProvider(settings));
  const source = { ...openSource(name, settings, provider), secrets: readSecrets(provider.secretKey) };
  if (providers[settings.provider].hasSecrets && source.secrets.length === 0) {
    throw invalid(
      origin,
      `the source ${name} has no secret: add "secrets", or set ${prefix}${variableOf(name)}_SECRET`,
    );
  }
  return source;
}

function secretText(setting: SecretSetting, input: SourcesInput): string {
  if (typeof setting === "string") return setting.trim();
  if (setting.file !== undefined) return input.readFile(setting.file).trim();
  if (setting.env === undefined) return (setting.value ?? "").trim();
  const text = input.env[setting.env];
  if (text === undefined) throw new RangeError(`is to be read from ${setting.env}, which is not set`);
  return text.trim();
}

/** A variable, or the content of the file that `<variable>_FILE` names. */
function valueOf(variable: string, input: SourcesInput): string | undefined {
  const path = input.env[`${variable}_FILE`];
  if (path === undefined || path === "") return input.env[variable];
  return attempt(`${variable}_FILE`, "the file", () => input.readFile(path));
}

function json(text: string, origin: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // the parser's message quotes the text, which may hold secrets
    throw invalid(origin, "is not valid JSON");
  }
}

function parsed<T>(schema: z.ZodType<T>, raw: unknown, origin: string): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  throw invalid(origin, z.prettifyError(result.error));
}

function attempt<T>(origin: string, what: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (error instanceof z.ZodError) throw invalid(origin, `${what}: ${z.prettifyError(error)}`);
    throw invalid(origin, `${what} ${error instanceof Error ? error.message : String(error)}`);
  }
}

function variableOf(name: string): string {
  return name.toUpperCase().replaceAll("-", "_");
}

function invalid(origin: string, problem: string): WarrenError {
  return new WarrenError("CONFIG_INVALID", `${origin}: ${problem}`, { details: { variable: origin } });
}
