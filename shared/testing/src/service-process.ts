import { isAbsolute, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./local/ports.ts";
import { type Exit, spawnTied } from "./local/tied-process.ts";
import { waitFor } from "./wait-for.ts";

export interface SpawnServiceOptions {
  /** The module to run, absolute or from the top of the repository: `services/ingress/src/main.ts`. */
  readonly entry: string;
  /** Its environment, beside PATH, HOME, HOST and PORT. Nothing else is inherited, so a developer's shell changes no test. */
  readonly env: Readonly<Record<string, string>>;
  /** Default: a free one. */
  readonly port?: number;
  /** Path that answers 2xx when the service is ready. Default `/readyz`; `null` for a program without HTTP. */
  readonly readyPath?: string | null;
  /** Default 30 s. */
  readonly startTimeoutMs?: number;
}

/** A service that runs as a process of its own, to be killed, frozen, and asked what it logged. */
export interface ServiceProcess extends AsyncDisposable {
  readonly pid: number;
  readonly port: number;
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly exited: Promise<Exit>;
  running(): boolean;
  /** Everything it wrote to standard output and error, line by line. */
  logs(): readonly string[];
  /** The lines that are JSON objects. */
  records(): readonly Readonly<Record<string, unknown>>[];
  /** Waits for a logged record, past ones included. */
  waitForRecord(
    matches: (record: Readonly<Record<string, unknown>>) => boolean,
    timeoutMs?: number,
  ): Promise<Readonly<Record<string, unknown>>>;
  /** `kill -9`; settles when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; answers how it ended. Kills it and throws when it has not ended in time (default 30 s). */
  terminate(timeoutMs?: number): Promise<Exit>;
  /** SIGSTOP. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  signal(name: NodeJS.Signals): void;
}

const repository = fileURLToPath(new URL("../../../", import.meta.url));

/** Starts a service and waits until it is ready. It dies with this process. A start that fails throws with what was logged. */
export async function spawnService(options: SpawnServiceOptions): Promise<ServiceProcess> {
  const port = options.port ?? (await freePort());
  const lines: string[] = [];
  const child = await spawnTied({
    command: process.execPath,
    args: [isAbsolute(options.entry) ? options.entry : join(repository, options.entry)],
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      HOST: "127.0.0.1",
      PORT: String(port),
      ...options.env,
    },
    cwd: repository,
    output: { onLine: (line) => lines.push(line) },
  });
  const url = `http://127.0.0.1:${port}`;
  const records = (): readonly Readonly<Record<string, unknown>>[] => lines.flatMap(parseRecord);
  const kill = async (): Promise<void> => {
    child.signal("SIGKILL");
    await child.exited;
  };
  if (options.readyPath !== null) {
    const path = options.readyPath ?? "/readyz";
    const readiness = async (): Promise<boolean> => !child.running() || (await fetch(url + path)).ok;
    await waitFor(readiness, {
      what: `${path} of ${options.entry}`,
      timeoutMs: options.startTimeoutMs ?? 30_000,
    }).catch(async (cause: unknown) => {
      await kill();
      throw new Error(`${options.entry} did not become ready; it logged:\n${lines.slice(-30).join("\n")}`, { cause });
    });
    if (!child.running())
      throw new Error(`${options.entry} ended while starting; it logged:\n${lines.slice(-30).join("\n")}`);
  }
  return {
    pid: child.pid,
    port,
    url,
    exited: child.exited,
    running: child.running,
    logs: () => lines,
    records,
    waitForRecord: (matches, timeoutMs) =>
      waitFor(() => records().find(matches), {
        what: `a log record of ${options.entry}`,
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }),
    kill,
    terminate: async (timeoutMs = 30_000) => {
      child.signal("SIGTERM");
      const exit = await Promise.race([child.exited, sleep(timeoutMs, undefined, { ref: false })]);
      if (exit !== undefined) return exit;
      await kill();
      throw new Error(
        `${options.entry} had not ended ${timeoutMs} ms after SIGTERM; it logged:\n${lines.slice(-30).join("\n")}`,
      );
    },
    pause: () => child.signal("SIGSTOP"),
    resume: () => child.signal("SIGCONT"),
    signal: child.signal,
    [Symbol.asyncDispose]: kill,
  };
}

function parseRecord(line: string): readonly Readonly<Record<string, unknown>>[] {
  if (!line.startsWith("{")) return [];
  try {
    return [JSON.parse(line) as Readonly<Record<string, unknown>>];
  } catch {
    return [];
  }
}
