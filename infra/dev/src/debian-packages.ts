import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { findOnPath, LocalServerError } from "@warren/testing";

export interface InstallOptions {
  /** Called once, before the first package manager call, with what is about to be installed. */
  readonly say: (sentence: string) => void;
  /** Sentence for a machine where nothing can be installed: what the user should install, and how. */
  readonly otherwise: string;
}

/** Whether this process may install Debian packages here: root, on Debian or Ubuntu. */
export async function canInstallPackages(): Promise<boolean> {
  if (process.getuid?.() !== 0 || findOnPath("apt-get") === undefined) return false;
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(release);
}

/**
 * Installs Debian packages without starting the services that they bring. Throws LOCAL_SERVER_FAILED with `otherwise` where that is
 * not possible, and with apt's last words when it fails.
 */
export async function installPackages(names: readonly string[], options: InstallOptions): Promise<void> {
  if (!(await canInstallPackages())) throw new LocalServerError("LOCAL_SERVER_FAILED", options.otherwise);
  options.say(`installing ${names.join(" and ")} with apt-get`);
  const install = ["install", "-y", "-q", "--no-install-recommends", ...names];
  await withoutServiceStarts(async () => {
    const first = await apt(install);
    if (first.code === 0) return;
    // The package lists are missing or too old.
    await apt(["update", "-q"]);
    const second = await apt(install);
    if (second.code === 0) return;
    const tail = second.output.trimEnd().split("\n").slice(-5).join("\n");
    throw new LocalServerError("LOCAL_SERVER_FAILED", `apt-get install ${names.join(" ")} failed:\n${tail}`);
  });
}

/** Debian's maintainer scripts ask policy-rc.d whether they may start a service; 101 means no. */
async function withoutServiceStarts(run: () => Promise<void>): Promise<void> {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return run();
  await writeFile(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    await run();
  } finally {
    await rm(policy, { force: true });
  }
}

async function apt(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const child = spawn("apt-get", args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { code, output };
}
