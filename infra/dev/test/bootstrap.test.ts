import { spawn, spawnSync } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

interface Clone {
  readonly root: string;
  readonly bin: string;
  readonly npmRuns: () => Promise<number>;
}

const lockfile = JSON.stringify({ packages: { "node_modules/a": { version: "1.0.0", integrity: "x" } } });

/** A clone with an npm that only pretends, and a "pinned" Node that is this one. */
async function clone(npmScript?: string): Promise<Clone> {
  const root = await mkdtemp(join(tmpdir(), "warren-bootstrap-"));
  folders.push(root);
  const bin = join(root, "fake-bin");
  await mkdir(join(root, "infra/dev/src"), { recursive: true });
  await mkdir(bin);
  await copyFile(new URL("../bootstrap.mjs", import.meta.url), join(root, "infra/dev/bootstrap.mjs"));
  await writeFile(join(root, "package-lock.json"), lockfile);
  await writeFile(
    join(root, "infra/dev/src/start.ts"),
    `console.log("started", process.argv.slice(2).join(" ")); process.exit(7);`,
  );
  const npm =
    npmScript ?? `echo run >> npm-runs; mkdir -p node_modules/.bin; ln -sf ${process.execPath} node_modules/.bin/node`;
  await writeFile(join(bin, "npm"), `#!/bin/sh\n${npm}\n`);
  await chmod(join(bin, "npm"), 0o755);
  const npmRuns = async (): Promise<number> =>
    (await readFile(join(root, "npm-runs"), "utf8").catch(() => "")).split("\n").filter(Boolean).length;
  return { root, bin, npmRuns };
}

function run({ root, bin }: Pick<Clone, "root" | "bin">, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "infra/dev/bootstrap.mjs"), ...args], {
    env: { PATH: `${bin}:/usr/bin:/bin` },
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

describe("the bootstrap", () => {
  test("installs in a fresh clone, hands arguments over and passes the exit code on", async () => {
    const fresh = await clone();
    const first = run(fresh, "start", "--verbose", "x");
    expect(first).toMatchObject({ status: 7, stdout: expect.stringContaining("Installing packages with npm ci") });
    expect(first.stdout).toContain("started --verbose x");
    const second = run(fresh, "start");
    expect(second.stdout).toBe("started \n");
    expect(await fresh.npmRuns()).toBe(1);
  });

  test("installs again when the lockfile has changed", async () => {
    const old = await clone();
    run(old, "start");
    await writeFile(join(old.root, "package-lock.json"), lockfile.replace("1.0.0", "2.0.0"));
    expect(run(old, "start").stdout).toContain("the lockfile has changed");
    expect(await old.npmRuns()).toBe(2);
  });

  test("leaves alone what an npm install by hand has brought to the same state", async () => {
    const manual = await clone();
    await mkdir(join(manual.root, "node_modules/.bin"), { recursive: true });
    spawnSync("ln", ["-s", process.execPath, join(manual.root, "node_modules/.bin/node")]);
    await writeFile(join(manual.root, "node_modules/.package-lock.json"), lockfile);
    expect(run(manual, "start").status).toBe(7);
    expect(await manual.npmRuns()).toBe(0);
  });

  test.for([
    {
      when: "the registry cannot be reached",
      npm: "echo 'npm error code EAI_AGAIN' >&2; exit 1",
      says: "cannot reach its registry",
    },
    { when: "the disk is full", npm: "echo 'npm error code ENOSPC' >&2; exit 228", says: "No space is left" },
    { when: "a right is missing", npm: "echo 'npm error code EACCES' >&2; exit 243", says: "may not write into" },
    { when: "install scripts are off", npm: "mkdir -p node_modules", says: "allow its install script" },
  ])("says in one sentence what to do when $when", async ({ npm, says }) => {
    const broken = await clone(npm);
    const { status, stderr } = run(broken, "start");
    expect(status).toBe(1);
    expect(stderr).toContain(says);
    expect(stderr).not.toContain("    at ");
  });

  test("says so when npm is not there, and when the command is unknown", async () => {
    const bare = await clone();
    const nowhere = { root: bare.root, bin: "/nonexistent" };
    const without = spawnSync(process.execPath, [join(bare.root, "infra/dev/bootstrap.mjs"), "start"], {
      env: { PATH: "/nonexistent" },
      encoding: "utf8",
    });
    expect(without.stderr).toContain("npm is not on the PATH");
    expect(run(nowhere, "strat").stderr).toContain("use one of start, demo, test, bench, chaos, fuzz, cli");
  });

  test("passes a signal on and lives until its child has ended", async () => {
    const patient = await clone();
    await writeFile(
      join(patient.root, "infra/dev/src/start.ts"),
      `process.on("SIGTERM", () => setTimeout(() => { console.log("drained"); process.exit(0); }, 100)); setInterval(() => {}, 1000); console.log("up");`,
    );
    run(patient, "cli"); // installs
    const child = spawn(process.execPath, [join(patient.root, "infra/dev/bootstrap.mjs"), "start"], {
      env: { PATH: `${patient.bin}:/usr/bin:/bin` },
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (chunk.toString().includes("up")) child.kill("SIGTERM");
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect([code, output]).toEqual([0, "up\ndrained\n"]);
  });
});
