import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";

/** What a figure depends on and a reader cannot guess; no host name, no path. */
export function describeMachine(): Record<string, unknown> {
  return {
    cpu: cpus()[0]?.model.trim(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    commit: commitOfTree(),
  };
}

function commitOfTree(): string {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}
