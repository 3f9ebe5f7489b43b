import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";

export interface TiedProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Where standard output and error go: to the end of a file, or line by line to a function. */
  readonly output: { readonly file: string } | { readonly onLine: (line: string) => void };
  /** What the process gets when this one dies. Default SIGKILL; SIGTERM is for a server that has children of its own to end. */
  readonly deathSignal?: "SIGKILL" | "SIGTERM";
  /** Run as this user. Only root may ask for it, and only where `setpriv` exists. */
  readonly runAs?: RunAs;
}

export interface RunAs {
  readonly uid: number;
  readonly gid: number;
  /** Keep root's right to pass folders that the user may not read, such as `/root`. */
  readonly passFolders: boolean;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child process that cannot outlive this one, however this one ends. */
export interface TiedProcess {
  readonly pid: number;
  /** Settles when the process is gone; never rejects. */
  readonly exited: Promise<Exit>;
  running(this: void): boolean;
  signal(this: void, name: NodeJS.Signals): void;
}

/**
 * Starts a process that dies with this one, even if this one is killed with SIGKILL: on Linux the kernel sees to it
 * (`setpriv --pdeathsig`, prctl(2) PR_SET_PDEATHSIG), elsewhere a shell watches both. It leads its own process group, so Ctrl-C in a
 * terminal does not reach it and the caller decides the order of stopping.
 */
export async function spawnTied(options: TiedProcessOptions): Promise<TiedProcess> {
  const setpriv = findOnPath("setpriv");
  if (options.runAs !== undefined && setpriv === undefined) {
    throw new Error("setpriv (util-linux) is needed to run a server as another user than root");
  }
  const { output } = options;
  const log = "file" in output ? openSync(output.file, "a") : "pipe";
  try {
    const child = spawn(
      setpriv ?? options.command,
      setpriv === undefined
        ? options.args
        : [
            `--pdeathsig=${options.deathSignal ?? "SIGKILL"}`,
            ...userFlags(options.runAs),
            "--",
            options.command,
            ...options.args,
          ],
      { env: options.env, cwd: options.cwd, stdio: ["ignore", log, log], detached: true },
    );
    if ("onLine" in output) forward(child, output.onLine);
    const pid = await spawned(child);
    if (setpriv === undefined) watch(pid);
    return tie(child, pid);
  } finally {
    if (typeof log === "number") closeSync(log);
  }
}

/** Full path of an executable, or `undefined`. */
export function findOnPath(name: string, path = process.env["PATH"] ?? ""): string | undefined {
  for (const folder of [...path.split(delimiter), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"]) {
    const candidate = join(folder, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not there: look in the next folder
    }
  }
  return undefined;
}

/** The flags of `setpriv` that change to this user. */
export function userFlags(user: RunAs | undefined): readonly string[] {
  if (user === undefined) return [];
  const capabilities = user.passFolders ? ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"] : [];
  return [`--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups", ...capabilities];
}

function forward(child: ChildProcess, onLine: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface({ input: stream }).on("line", onLine);
  }
}

function spawned(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => resolve(child.pid ?? 0));
  });
}

function tie(child: ChildProcess, pid: number): TiedProcess {
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  return {
    pid,
    exited,
    running: () => child.exitCode === null && child.signalCode === null,
    signal: (name) => {
      child.kill(name);
    },
  };
}

/** Where the kernel cannot do it: a shell that looks twice a second whether the parent lives, and kills the child when not. */
function watch(pid: number): void {
  const script = 'while kill -0 "$1"; do kill -0 "$2" || exit 0; sleep 0.5; done; kill -9 "$2"';
  spawn("sh", ["-c", script, "sh", String(process.pid), String(pid)], { stdio: "ignore", detached: true }).unref();
}
