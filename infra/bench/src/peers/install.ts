import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * What the peers need, pinned, in a folder of its own: none of it is a dependency of Warren. pg-boss is the newest whose own
 * dependencies could be had from the registry when this was written.
 */
const packages = {
  bullmq: "6.7.0",
  ioredis: "6.0.0",
  "pg-boss": "12.33.7",
  "graphile-worker": "0.18.0",
  pg: "8.23.1",
} as const;
/** Debian's packages, for peers that are no npm packages. */
const debianPackages = ["redis-server", "python3-celery"] as const;

export interface Installed {
  readonly folder: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Why a part could not be had; its systems are left out, and the table says so. */
  readonly missing: Readonly<Record<string, string>>;
}

/** Installs the peers from the registries, once. Needs root only for Redis and Celery, and only if they are not there. */
export async function installPeers(): Promise<Installed> {
  const folder = await installPackages("peers", packages);
  const missing: Record<string, string> = {};
  const versions: Record<string, string> = { ...packages };
  for (const [name, probe] of [
    ["redis", redisProbe],
    ["celery", ["/usr/bin/python3", "-c", "import celery; print(celery.__version__)"]],
  ] as const) {
    const version = await versionOf(probe);
    if (version === undefined) missing[name] = `not installed: apt-get install ${debianPackages.join(" ")}`;
    else versions[name] = version;
  }
  return { folder, versions, missing };
}

const redisProbe = ["redis-server", "--version"] as const;

/** The version of Redis, which is installed where it is missing and this is root; `undefined` where it cannot be had. */
export function installRedis(): Promise<string | undefined> {
  return versionOf(redisProbe);
}

async function versionOf(probe: readonly [string, ...string[]]): Promise<string | undefined> {
  const version = (await probed(probe)) ?? (await installDebian(), await probed(probe));
  return version?.match(/\d+\.\d+\.\d+/)?.[0] ?? version;
}

/** Installs packages into a folder of their own, once, and tells which. */
export async function installPackages(name: string, wanted: Readonly<Record<string, string>>): Promise<string> {
  const folder = fileURLToPath(new URL(`../../../../.warren/${name}/`, import.meta.url));
  await mkdir(folder, { recursive: true });
  const manifest = `${JSON.stringify({ private: true, dependencies: wanted }, null, 2)}\n`;
  const manifestFile = join(folder, "package.json");
  const known = await readFile(manifestFile, "utf8").catch(() => "");
  const present = await Promise.all(Object.keys(wanted).map((one) => has(folder, one)));
  if (known !== manifest || !present.every(Boolean)) {
    console.log(`installing ${Object.keys(wanted).join(", ")}`);
    await writeFile(manifestFile, manifest);
    await run("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"], { cwd: folder });
  }
  return folder;
}

/** Loads a package of the peers' folder. The caller says what of it is used. */
export async function importPeer(folder: string, name: string): Promise<unknown> {
  const path = createRequire(join(folder, "package.json")).resolve(name);
  return import(pathToFileURL(path).href);
}

async function has(folder: string, name: string): Promise<boolean> {
  return readFile(join(folder, "node_modules", name, "package.json")).then(
    () => true,
    () => false,
  );
}

async function probed([command, ...args]: readonly [string, ...string[]]): Promise<string | undefined> {
  return run(command, args).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
}

let tried = false;
async function installDebian(): Promise<void> {
  if (tried) return;
  tried = true;
  console.log(`installing ${debianPackages.join(", ")} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await run("apt-get", ["install", "-y", "--no-install-recommends", ...debianPackages], { env }).catch(
    (error: unknown) => {
      console.error(`apt-get failed: ${error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)}`);
    },
  );
}
