import { readdir, readFile } from "node:fs/promises";

/** Resident memory in MiB of the processes that run a main module of this clone, by service; Linux only (`/proc`). */
export async function memoryOfServices(clone: string): Promise<Readonly<Record<string, number>>> {
  const found: Record<string, number> = {};
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const [command, status, folder] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
      readFile(`/proc/${pid}/status`, "utf8").catch(() => ""),
      readFile(`/proc/${pid}/environ`, "utf8").catch(() => ""),
    ]);
    const entry = /(?:services|infra)\/([a-z]+)\/src\/main\.ts/.exec(command.replaceAll("\0", " "));
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(status);
    if (entry?.[1] === undefined || kib === null) continue;
    if (command.includes(clone) || folder.includes(clone)) found[entry[1]] = Math.round(Number(kib[1]) / 1024);
  }
  return found;
}
