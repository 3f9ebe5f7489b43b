import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitFor } from "@warren/testing";

export interface Redis extends AsyncDisposable {
  readonly port: number;
}

/** A Redis of the benchmark's own on loopback, with an append-only file synced every second or at every write, without snapshots. */
export async function startRedis(appendFsync: "everysec" | "always"): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), "warren-bench-redis-"));
  const port = await freePort();
  const settings = ["--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"];
  const more = ["--appendfsync", appendFsync, "--daemonize", "no", "--loglevel", "warning"];
  const child = spawn("redis-server", [...settings, ...more].map(String), { stdio: "ignore" });
  await waitFor(() => accepts(port), { what: "Redis to listen" });
  return {
    port,
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null) {
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
