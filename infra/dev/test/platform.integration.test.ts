import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import { createWorld, freePort, type World, waitFor } from "@warren/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Running, readRunning } from "../src/start/state-folder.ts";

const source = (name: string): string => fileURLToPath(new URL(`../src/${name}`, import.meta.url));

interface Program {
  readonly pid: number;
  output(): string;
  readonly exited: Promise<number | null>;
  signal(name: NodeJS.Signals): void;
}

const programs: Program[] = [];
let world: World;
let stateFolder: string;
let env: Record<string, string>;

beforeEach(async () => {
  world = await createWorld({ database: "empty" });
  stateFolder = await mkdtemp(join(tmpdir(), "warren-platform-"));
  const names = ["INGRESS", "DISPATCHER", "NOTIFICATIONS", "PAYMENTS", "API", "MAILBOX", "SMTP", "YOOKASSA"];
  const ports = await Promise.all(
    names.map(async (name) => [`WARREN_${name}_PORT`, String(await freePort())] as const),
  );
  env = {
    PATH: process.env["PATH"] ?? "",
    HOME: process.env["HOME"] ?? "",
    AMQP_URL: world.amqpUrl,
    DATABASE_URL: world.databaseUrl,
    WARREN_SCHEMA: world.schema,
    WARREN_STATE_DIR: stateFolder,
    ...Object.fromEntries(ports),
  };
});

afterEach(async () => {
  for (const program of programs.splice(0)) {
    program.signal("SIGKILL");
    await program.exited;
  }
  await rm(stateFolder, { recursive: true, force: true });
  await world[Symbol.asyncDispose]();
});

function run(name: string, args: readonly string[] = [], more: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(process.execPath, [source(name), ...args], { env: { ...env, ...more } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
  const program = {
    pid: child.pid ?? 0,
    output: () => output,
    exited,
    signal: (signal: NodeJS.Signals) => {
      child.kill(signal);
    },
  };
  programs.push(program);
  return program;
}

async function started(): Promise<{ readonly program: Program; readonly running: Running }> {
  const program = run("start.ts");
  let over = false;
  void program.exited.then(() => (over = true));
  await waitFor(() => over || program.output().includes("Ready in"), { what: "the platform", timeoutMs: 90_000 });
  const running = await readRunning(stateFolder);
  if (running === undefined) throw new Error(`the platform did not start:\n${program.output()}`);
  return { program, running };
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

async function runs(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return status !== "" && !/\) Z /.test(status);
}

describe.skipIf(process.platform !== "linux")("npm start", { timeout: 180_000 }, () => {
  test("brings the platform up, balances the demo's books, restarts what crashes, and stops everything in order", async () => {
    const { program, running } = await started();
    expect(program.output()).toMatch(/ingress .*ready/);

    const key = await readFile(join(running.secretsFolder, "api-key"), "utf8");
    const authorized = { headers: { authorization: `Bearer ${key}` } };
    const listed = await fetch(`${running.apiUrl}/sources`, authorized);
    expect([listed.status, await listed.text()]).toEqual([200, expect.stringContaining('"name":"github"')]);
    const tested = await fetch(`${running.apiUrl}/sources/standard/test`, { method: "POST", ...authorized });
    expect([tested.status, await tested.text()]).toEqual([200, expect.stringContaining('"accepted":true')]);

    const env = join(stateFolder, "env");
    expect(parseEnv(await readFile(env, "utf8"))).toEqual({
      DATABASE_URL: running.databaseUrl,
      AMQP_URL: running.amqpUrl,
      WARREN_SCHEMA: running.schema,
    });
    expect((await stat(env)).mode & 0o777).toBe(0o600);

    const second = run("start.ts");
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain(`already runs in this clone (process ${program.pid})`);

    const demo = run("demo/main.ts", ["--count", "40", "--rate", "0"]);
    expect([await demo.exited, demo.output()]).toEqual([0, expect.stringContaining("The books balance")]);

    const children = await childrenOf(program.pid);
    expect(children.length).toBeGreaterThanOrEqual(5);
    for (const pid of children) {
      const command = await readFile(`/proc/${pid}/cmdline`, "utf8");
      if (command.includes("services/notifications")) process.kill(pid, "SIGKILL");
    }
    await waitFor(() => program.output().includes("notifications is ready again"), {
      what: "the restart",
      timeoutMs: 60_000,
    });
    expect(program.output()).toContain("notifications ended (killed by SIGKILL) and is started again");

    const before = await childrenOf(program.pid);
    // npm, its shell and the bootstrap pass one Ctrl-C on several times: it must not count as impatience.
    program.signal("SIGINT");
    program.signal("SIGINT");
    expect(await program.exited).toBe(0);
    expect(program.output()).toContain("Stopped in");
    await expect(stat(env)).rejects.toThrow("ENOENT");
    expect(await Promise.all(before.map(runs))).not.toContain(true);
    expect(await readRunning(stateFolder)).toBeUndefined();
    await expect(fetch(running.ingressUrl)).rejects.toThrow("fetch failed");

    const late = run("demo/main.ts");
    expect(await late.exited).toBe(1);
    expect(late.output()).toContain("run npm start first");
  });

  test("leaves nothing behind when it is killed", async () => {
    const { program } = await started();
    const children = await childrenOf(program.pid);
    program.signal("SIGKILL");
    await waitFor(async () => !(await Promise.all(children.map(runs))).includes(true), {
      what: "all children to be gone",
    });
    expect(await readRunning(stateFolder)).toBeUndefined();
  });

  test.for([
    {
      when: "the broker refuses the password",
      variable: "AMQP_URL",
      change: { password: "wrong" },
      says: "refuses the user",
    },
    {
      when: "the vhost is not there",
      variable: "AMQP_URL",
      change: { pathname: "/nowhere" },
      says: 'has no vhost "nowhere"',
    },
    {
      when: "no database answers",
      variable: "DATABASE_URL",
      change: { port: "1" },
      says: "PostgreSQL does not answer on",
    },
    {
      when: "the database is not there",
      variable: "DATABASE_URL",
      change: { pathname: "/nowhere" },
      says: "has no database nowhere",
    },
  ] as const)("says in one sentence what to mend when $when", async ({ variable, change, says }) => {
    const url: URL = Object.assign(new URL(env[variable] ?? ""), change);
    const program = run("start.ts", [], { [variable]: url.href });
    expect(await program.exited).toBe(1);
    expect(program.output()).toContain(says);
    expect(program.output()).not.toContain("    at ");
  });

  test("tells a service's own words when it does not start, and stops the others", async () => {
    const program = run("start.ts", [], { WARREN_TRUSTED_PROXIES: "not an address" });
    expect(await program.exited).toBe(1);
    expect(program.output()).toContain("ingress ended while starting");
    expect(program.output()).toContain("WARREN_TRUSTED_PROXIES");
    expect(await readRunning(stateFolder)).toBeUndefined();
  });
});
