import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePort, waitFor } from "@warren/testing";
import type { BenchOptions } from "../main.ts";
import { keepResult } from "../results.ts";
import { median } from "../statistics.ts";
import { memoryOfServices } from "./memory.ts";

const execute = promisify(execFile);
const repository = fileURLToPath(new URL("../../../../", import.meta.url));
const demoCount = 1_000;

/**
 * `npm start` in a fresh clone of HEAD (cold: packages are installed, the database is made), then again on the data it kept (warm);
 * and the memory of each service, idle and right after `npm run demo` of a thousand webhooks. A start counts when the ready table stands.
 * The first cold start is the clone's; more would measure the npm cache. `--runs` counts the warm starts.
 */
export async function run(options: BenchOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "warren-boot-"));
  await using closing = new AsyncDisposableStack();
  closing.defer(() => rm(folder, { recursive: true, force: true }));
  const clone = join(folder, "warren");
  await execute("git", ["clone", "--quiet", repository, clone]);
  const env = await freePorts();

  const cold = await start(clone, env);
  console.log(`cold: ${seconds(cold.readyMs)} s`);
  await cold.stop();
  const warmMs: number[] = [];
  let memory: Record<string, unknown> = {};
  for (let number = 1; number <= options.runs; number++) {
    const warm = await start(clone, env);
    warmMs.push(warm.readyMs);
    console.log(`warm ${number}: ${seconds(warm.readyMs)} s`);
    if (number === options.runs) {
      const idle = await memoryOfServices(clone);
      await execute("npm", ["run", "--silent", "demo", "--", "--count", String(demoCount)], {
        cwd: clone,
        env: { ...process.env, ...env },
      });
      memory = { idle, afterDemo: await memoryOfServices(clone) };
    }
    await warm.stop();
  }
  await keepResult({
    bench: "boot",
    settings: { runs: options.runs, demoCount },
    runs: warmMs.map((ms, index) => ({ run: index + 1, warmMs: Math.round(ms) })),
    summary: { coldSeconds: seconds(cold.readyMs), warmSeconds: seconds(median(warmMs)), memoryMiB: memory },
  });
}

interface Started {
  readonly readyMs: number;
  stop(): Promise<void>;
}

async function start(clone: string, env: Readonly<Record<string, string>>): Promise<Started> {
  const startedAt = performance.now();
  const child = spawn("npm", ["start"], {
    cwd: clone,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const said: string[] = [];
  const ready = new Promise<number>((resolve) => {
    // read on after the table: a platform whose output nobody takes would fail at its next line
    createInterface({ input: child.stdout }).on("line", (line) => {
      said.push(line);
      if (line.startsWith("Ready in ")) resolve(performance.now() - startedAt);
    });
  });
  const readyMs = await Promise.race([ready, ended.then(() => undefined)]);
  if (readyMs === undefined) throw new Error(`npm start ended before it was ready:\n${said.slice(-20).join("\n")}`);
  return {
    readyMs,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      // npm goes first; the platform has gone when it lets its folder go
      const lock = join(clone, ".warren", "start.pid");
      await waitFor(() => !existsSync(lock), { what: "the platform to stop", timeoutMs: 60_000 });
    },
  };
}

/** So that a platform of the developer's own may run beside the benchmark. */
async function freePorts(): Promise<Readonly<Record<string, string>>> {
  const env: Record<string, string> = {};
  for (const name of ["INGRESS", "DISPATCHER", "NOTIFICATIONS", "PAYMENTS", "MAILBOX", "SMTP", "YOOKASSA"]) {
    env[`WARREN_${name}_PORT`] = String(await freePort());
  }
  return env;
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
