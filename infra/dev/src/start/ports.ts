import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { basename } from "node:path";
import { freePort } from "@warren/testing";
import { z } from "zod";
import { Refusal } from "./refusal.ts";

export interface WantedPort {
  readonly port: number;
  /** Who needs it. */
  readonly owner: string;
  /** The variable that moves it. */
  readonly variable: string;
}

/** Refuses the first port that cannot be had, before anything is started. */
export async function requirePorts(wanted: readonly WantedPort[]): Promise<void> {
  for (const [index, one] of wanted.entries()) {
    const twin = wanted.slice(0, index).find(({ port }) => port === one.port);
    if (twin !== undefined) {
      throw new Refusal(`${twin.owner} and ${one.owner} are both set to port ${one.port}: change ${one.variable}`);
    }
    const problem = await tryPort(one.port);
    if (problem !== undefined) throw new Refusal(portSentence(one, problem, holderOf(one.port)));
  }
}

/** The sentence for a port that cannot be had. Pure. */
export function portSentence({ port, owner, variable }: WantedPort, code: string, holder: string | undefined): string {
  if (code === "EACCES") {
    return `this user may not listen on port ${port} (${owner}): choose one above 1023, for example ${variable}=${port + 8000} npm start`;
  }
  if (code !== "EADDRINUSE") return `port ${port} (${owner}) cannot be had (${code}): choose another with ${variable}`;
  const by = holder === undefined ? "another program" : holder;
  return `port ${port} (${owner}) is taken by ${by}: end that, or choose another port, for example ${variable}=${port + 10_000} npm start`;
}

/** The error code, or undefined when the port is free. */
function tryPort(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve("code" in error ? String(error.code) : "UNKNOWN"));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** Name and id of the process that listens there, where Linux tells this user. */
function holderOf(port: number): string | undefined {
  try {
    const hex = port.toString(16).toUpperCase().padStart(4, "0");
    const listening = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((file) => readFileSync(file, "utf8").split("\n"));
    const line = listening.find((row) => new RegExp(`^ *\\d+: [0-9A-F]+:${hex} [0-9A-F]+:0000 0A`).test(row));
    const inode = line?.trim().split(/\s+/)[9];
    if (inode === undefined) return undefined;
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      if (ownsSocket(pid, inode)) return `${commandOf(pid)} (process ${pid})`;
    }
  } catch {
    // another system, or a process that just ended
  }
  return undefined;
}

/** Program and script; options and what comes after them may hold secrets. Node names its main thread, so `comm` says nothing. */
function commandOf(pid: string): string {
  const [program = "", script = ""] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return script === "" || script.startsWith("-") ? basename(program) : `${basename(program)} ${script}`;
}

function ownsSocket(pid: string, inode: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`);
  } catch {
    return false;
  }
}

const keptPorts = z.record(z.string(), z.number().int());

/** A port of a private server: the same as last time if it is still free, so that a URL that somebody noted down goes on working. */
export async function stablePort(file: string, name: string): Promise<number> {
  const kept = keptPorts.catch({}).parse(await readJson(file));
  const before = kept[name];
  const port = before !== undefined && (await tryPort(before)) === undefined ? before : await freePort();
  if (port !== before) await writeFile(file, JSON.stringify({ ...kept, [name]: port }, null, 2));
  return port;
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch {
    return undefined;
  }
}
