import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";

/**
 * One side of a benchmark in a process of its own (publisher, worker, server), so that the sides do not share an event loop.
 * A role answers each command with one message; it dies with the bench.
 */
export class Role implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #name: string;

  constructor(file: URL, name: string, env: Readonly<Record<string, string>>) {
    this.#name = name;
    this.#child = fork(file, [], {
      env: { ...process.env, ...env },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }

  /** Sends a command and resolves with the answer; rejects when the process dies first or answers `{ error }`. */
  async ask<T>(command: Readonly<Record<string, unknown>>): Promise<T> {
    const abort = new AbortController();
    const answer = once(this.#child, "message", { signal: abort.signal });
    const death = once(this.#child, "exit", { signal: abort.signal }).then(([code]) => {
      throw new Error(`the ${this.#name} process ended with ${String(code)} while it had work to do`);
    });
    this.#child.send(command);
    try {
      const [message] = (await Promise.race([answer, death])) as [T & { readonly error?: string }];
      if (message.error !== undefined) throw new Error(`${this.#name}: ${message.error}`);
      return message;
    } finally {
      abort.abort();
      await Promise.allSettled([answer, death]);
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(timer);
  }
}

interface Command extends Readonly<Record<string, unknown>> {
  readonly do: string;
}

/** The other end: answers each command of the bench with what `handle` returns, plus the process's CPU and memory. */
export function serveRole(handle: (command: Command) => Promise<object>): void {
  process.on("message", (command: Command) => {
    const before = process.cpuUsage();
    void answer(command, handle, before);
  });
}

async function answer(
  command: Command,
  handle: (command: Command) => Promise<object>,
  before: NodeJS.CpuUsage,
): Promise<void> {
  try {
    const answered = await handle(command);
    const { user, system } = process.cpuUsage(before);
    process.send?.({ ...answered, cpuMs: (user + system) / 1000, rssMiB: process.memoryUsage.rss() / 2 ** 20 });
  } catch (error) {
    process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}
