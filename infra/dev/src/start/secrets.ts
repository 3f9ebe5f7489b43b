import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The webhook sources that `npm start` sets up, each with the secret that its provider would have issued. */
const devSources = {
  github: { provider: "github", makeSecret: () => randomBytes(24).toString("hex") },
  stripe: { provider: "stripe", makeSecret: () => `whsec_${randomBytes(24).toString("hex")}` },
  standard: { provider: "standard-webhooks", makeSecret: () => `whsec_${randomBytes(32).toString("base64")}` },
  yookassa: { provider: "yookassa", makeSecret: undefined },
} as const;

type DevSource = keyof typeof devSources;

/** What else `npm start` makes: the key of the management API, and the key ring that seals secrets and payloads. */
const devKeys = {
  "api-key": { variable: "WARREN_API_KEYS", make: () => randomBytes(24).toString("hex") },
  "payload-keys": { variable: "WARREN_PAYLOAD_KEYS", make: () => `dev:${randomBytes(32).toString("base64")}` },
} as const;

/** Makes each secret once, readable by this user only. Never part of a commit: `.warren/` is ignored. */
export async function ensureSecrets(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const [name, { make }] of Object.entries(devKeys)) {
    const file = join(folder, name);
    if (!existsSync(file)) await writeFile(file, make(), { mode: 0o600 });
  }
  for (const [name, { makeSecret }] of Object.entries(devSources)) {
    const file = join(folder, name);
    if (makeSecret !== undefined && !existsSync(file)) await writeFile(file, makeSecret(), { mode: 0o600 });
  }
}

export async function readSecret(folder: string, source: DevSource): Promise<string> {
  return (await readFile(join(folder, source), "utf8")).trim();
}

/** The settings of those keys that the user has not set up himself. Pure. */
export function keyVariables(
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(devKeys).flatMap(([name, { variable }]) => {
      const own = env[variable] !== undefined || env[`${variable}_FILE`] !== undefined;
      return own ? [] : [[`${variable}_FILE`, join(folder, name)]];
    }),
  );
}

/** The ingress settings of those sources that the user has not set up themselves. Pure. */
export function sourceVariables(
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const own = namesOf(env["WARREN_SOURCES"]);
  const variables: Record<string, string> = {};
  for (const [name, { provider, makeSecret }] of Object.entries(devSources)) {
    const variable = `WARREN_SOURCE_${name.toUpperCase()}`;
    const taken = own.includes(name) || Object.keys(env).some((key) => new RegExp(`^${variable}(_|$)`).test(key));
    if (taken) continue;
    variables[variable] = provider;
    if (makeSecret !== undefined) variables[`${variable}_SECRET_FILE`] = join(folder, name);
  }
  return variables;
}

function namesOf(sources: string | undefined): readonly string[] {
  if (sources === undefined) return [];
  try {
    const parsed: unknown = JSON.parse(sources);
    return typeof parsed === "object" && parsed !== null ? Object.keys(parsed) : [];
  } catch {
    return []; // the ingress will say what is wrong with it
  }
}
