import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const cache = fileURLToPath(new URL("../../../../node_modules/.cache/warren/", import.meta.url));

/** A Python that can import pika. */
export interface Python {
  readonly command: string;
  readonly env: NodeJS.ProcessEnv;
}

async function works(python: Python): Promise<boolean> {
  try {
    await run(python.command, ["-c", "import pika"], { env: python.env, timeout: 30_000 });
    return true;
  } catch {
    return false;
  }
}

/** Runs steps until one makes pika importable; a step that fails is only the next one's turn. */
async function tryEach(python: Python, steps: readonly (() => Promise<unknown>)[]): Promise<boolean> {
  for (const step of steps) {
    await step().catch(() => undefined);
    if (await works(python)) return true;
  }
  return false;
}

/**
 * Finds Python 3 with pika, or brings pika into a folder under node_modules/.cache, without touching the system's packages: from Debian's
 * archive, else from the Python package index. Only where there is no Python at all, on Debian and as root, is it installed.
 * Otherwise answers why there is none.
 */
export async function findPika(): Promise<Python | string> {
  const bare: Python = { command: "python3", env: process.env };
  if (await works(bare)) return bare;
  const folder = join(cache, "pika");
  const cached: Python = {
    command: "python3",
    env: { ...process.env, PYTHONPATH: `${join(folder, "usr/lib/python3/dist-packages")}:${folder}` },
  };
  const apt = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, timeout: 120_000 };
  const isRoot = process.getuid?.() === 0;
  const pip = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--retries",
    "0",
    "--timeout",
    "20",
    "--target",
    folder,
    "pika==1.3.2",
  ];
  const found = await tryEach(cached, [
    () => Promise.resolve(),
    () => unpackDebianPackage(folder),
    async () => {
      if (!isRoot) return;
      await run("apt-get", ["update", "-q"], apt);
      await unpackDebianPackage(folder);
    },
    () => run("python3", pip, { timeout: 60_000 }),
    async () => {
      const hasPython = await run("python3", ["--version"]).then(
        () => true,
        () => false,
      );
      if (isRoot && !hasPython)
        await run("apt-get", ["install", "-y", "-q", "--no-install-recommends", "python3-pika"], apt);
    },
  ]);
  if (found) return cached;
  return "no Python with pika: install it (Debian, Ubuntu: apt-get install python3-pika; elsewhere: pip install pika)";
}

async function unpackDebianPackage(folder: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const download = await mkdtemp(join(cache, "download-"));
  try {
    await run("apt-get", ["download", "-q", "python3-pika"], { cwd: download, timeout: 60_000 });
    const archive = (await readdir(download)).find((name) => name.endsWith(".deb"));
    await run("dpkg-deb", ["-x", join(download, archive ?? ""), join(download, "unpacked")]);
    await rm(folder, { recursive: true, force: true });
    await rename(join(download, "unpacked"), folder);
  } finally {
    await rm(download, { recursive: true, force: true });
  }
}
