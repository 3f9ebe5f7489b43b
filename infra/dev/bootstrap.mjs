// Plain JavaScript for the Node that the machine has (20.19 or newer): it must run in a fresh clone, before any package is there.
// It installs the packages when they are missing or older than the lockfile, then hands over to the pinned Node 24 in node_modules.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const entries = {
  start: "infra/dev/src/start.ts",
  demo: "infra/dev/src/demo/main.ts",
  test: "infra/dev/src/test.ts",
  bench: "infra/bench/src/main.ts",
  chaos: "infra/chaos/src/main.ts",
  fuzz: "services/ingress/test/fuzz/main.ts",
  cli: "shared/cli/src/main.ts",
};
const modules = join(root, "node_modules");
const stampFile = join(modules, ".warren-lockfile-hash");
const pinnedNode = join(modules, ".bin", "node");
const forwarded = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];

/** A failure that the user can mend: one sentence, no stack. */
class Refusal extends Error {}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Refusal(
      `Warren needs Node 20.19 or newer to set itself up and this is ${process.versions.node}: install Node 24 from https://nodejs.org and start again.`,
    );
  }
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** True if what npm noted down about node_modules is what package-lock.json asks for; so an `npm install` by hand is not repeated. */
function installedAsLocked(lock) {
  const installed = readJson(join(modules, ".package-lock.json"))?.packages;
  if (lock?.packages === undefined || installed === undefined) return false;
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (!path.startsWith("node_modules/")) return true;
    const found = installed[path];
    if (found === undefined) return wanted.optional === true; // another platform's build
    return found.version === wanted.version && found.integrity === wanted.integrity && found.link === wanted.link;
  });
}

/** Saves the comparison next time. Another user's node_modules may be read-only to this one. */
function remember(hash) {
  try {
    writeFileSync(stampFile, hash);
  } catch {
    // compared again next time
  }
}

function installIsCurrent() {
  const lockText = readFileSync(join(root, "package-lock.json"));
  const hash = createHash("sha256").update(lockText).digest("hex");
  if (!existsSync(pinnedNode)) return { current: false, hash };
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === hash) return { current: true, hash };
  const current = installedAsLocked(JSON.parse(lockText.toString("utf8")));
  if (current) remember(hash);
  return { current, hash };
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Holds `.warren/install.pid`, so that two commands in a fresh clone do not install over each other. */
async function withInstallLock(run) {
  const lockFile = join(root, ".warren", "install.pid");
  mkdirSync(join(root, ".warren"), { recursive: true });
  for (let told = false; ; ) {
    try {
      const file = openSync(lockFile, "wx");
      writeSync(file, String(process.pid));
      closeSync(file);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
      const holder = Number(readFileSync(lockFile, "utf8"));
      if (holder > 0 && !isAlive(holder)) {
        rmSync(lockFile, { force: true });
        continue;
      }
      if (!told) console.log(`Waiting for the installation that process ${holder} runs in this clone …`);
      told = true;
      await sleep(300);
    }
  }
  const release = () => rmSync(lockFile, { force: true });
  process.once("exit", release);
  try {
    return await run();
  } finally {
    process.off("exit", release);
    release();
  }
}

function explainNpm(output, exitCode) {
  const has = (pattern) => pattern.test(output);
  if (has(/ENOSPC/)) return "No space is left on the disk for the packages (about 700 MB): free some and start again.";
  if (has(/EACCES|EPERM|EROFS/))
    return `npm may not write into ${root}: give this user the folder (chown -R $(id -un) .) and start again.`;
  if (has(/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT/)) {
    return "npm cannot reach its registry: check the network, the proxy and `npm config get registry`, then start again.";
  }
  if (has(/EUSAGE|in sync/))
    return "package.json and package-lock.json disagree: run `git checkout package-lock.json` or `npm install`, then start again.";
  if (has(/code EBADENGINE/)) return "npm refuses this Node version: install Node 20.19 or newer and start again.";
  return `npm ci failed with exit code ${exitCode}; its own words are above. Mend that and start again.`;
}

async function install(hash, reason) {
  const path = (process.env.PATH ?? "")
    .split(delimiter)
    .filter((part) => !part.includes("node_modules"))
    .join(delimiter);
  const started = Date.now();
  process.stdout.write(`Installing packages with npm ci (${reason}) … `);
  const child = spawn("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    env: { ...process.env, PATH: path },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const relay = forwardSignals(child);
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const result = await new Promise((resolve) => {
    child.once("error", (error) => resolve({ error }));
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  relay.stop();
  if (result.error?.code === "ENOENT") {
    process.stdout.write("\n");
    throw new Refusal("npm is not on the PATH: install it (Debian/Ubuntu: apt-get install npm) and start again.");
  }
  if (result.error) throw result.error;
  if (result.signal || relay.stoppedBy()) endAs(null, result.signal ?? relay.stoppedBy());
  if (result.code !== 0) {
    process.stdout.write("failed\n");
    process.stderr.write(output.trimEnd().split("\n").slice(-15).join("\n") + "\n");
    throw new Refusal(explainNpm(output, result.code));
  }
  if (!existsSync(pinnedNode)) {
    process.stdout.write("failed\n");
    throw new Refusal(
      "npm did not place the pinned Node 24 in node_modules/.bin: allow its install script (npm config set ignore-scripts false), delete node_modules and start again.",
    );
  }
  writeFileSync(stampFile, hash);
  console.log(`done in ${Math.round((Date.now() - started) / 1000)} s.`);
}

/** Passes signals on to the child and keeps this process alive until the child has ended. */
function forwardSignals(child) {
  let last;
  const handlers = forwarded.map((signal) => {
    const handler = () => {
      last = signal;
      child.kill(signal);
    };
    process.on(signal, handler);
    return [signal, handler];
  });
  return {
    stop: () => handlers.forEach(([signal, handler]) => process.off(signal, handler)),
    stoppedBy: () => last,
  };
}

function endAs(code, signal) {
  process.exit(signal ? 128 + (constants.signals[signal] ?? 0) : code);
}

/**
 * npm runs scripts in a shell, and the shell that npm ends does not tell us: without this, `kill NPM` would leave everything running.
 * Only under npm: started by hand, this process may well outlive its shell (nohup, disown).
 */
function endWithParent(child) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    child.kill("SIGTERM");
  }, 250);
  watch.unref();
}

/** The command line tool talks to the platform that `npm start` runs in this clone, unless it is told otherwise. */
function localPlatform() {
  const running = readJson(resolve(root, process.env.WARREN_STATE_DIR ?? ".warren", "running.json"));
  if (running === undefined || !isAlive(running.pid)) return {};
  return {
    DATABASE_URL: running.databaseUrl,
    AMQP_URL: running.amqpUrl,
    WARREN_SCHEMA: running.schema,
    WARREN_API_URL: running.apiUrl,
    ...keyFile("WARREN_API_KEYS", running.secretsFolder, "api-key"),
    ...keyFile("WARREN_PAYLOAD_KEYS", running.secretsFolder, "payload-keys"),
  };
}

/** A key that `npm start` has made, unless there is one already. */
function keyFile(variable, folder, name) {
  const own = process.env[variable] ?? process.env[`${variable}_FILE`];
  return own === undefined ? { [`${variable}_FILE`]: join(folder, name) } : {};
}

async function handOver(entry, args) {
  const child = spawn(pinnedNode, [join(root, entry), ...args], {
    cwd: root,
    env: {
      ...(entry === entries.cli ? localPlatform() : {}),
      ...process.env,
      PATH: `${join(modules, ".bin")}${delimiter}${process.env.PATH ?? ""}`,
      WARREN_BOOTSTRAP_PID: String(process.pid),
      // Starts of the many processes take half the time when their code is compiled already.
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(modules, ".cache", "node-compile"),
    },
    stdio: "inherit",
  });
  forwardSignals(child);
  endWithParent(child);
  const { error, code, signal } = await new Promise((resolve) => {
    child.once("error", (failure) => resolve({ error: failure }));
    child.once("exit", (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  if (error)
    throw new Refusal(
      `The pinned Node 24 does not run here (${error.code ?? error.message}): delete node_modules and start again.`,
    );
  endAs(code, signal);
}

async function main([command = "", ...args]) {
  const entry = entries[command];
  if (entry === undefined)
    throw new Refusal(`Unknown command "${command}": use one of ${Object.keys(entries).join(", ")}.`);
  checkNode();
  if (!installIsCurrent().current) {
    await withInstallLock(async () => {
      const { current, hash } = installIsCurrent();
      if (!current)
        await install(hash, existsSync(modules) ? "the lockfile has changed" : "the first time takes a minute");
    });
  }
  await handOver(entry, args);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const sentences = {
    ENOSPC: "No space is left on the disk: free some and start again.",
    EACCES: `This user may not write into ${root}: give them the folder (chown -R $(id -un) .) and start again.`,
    EROFS: `${root} is on a read-only file system: clone Warren to a place that can be written.`,
    ENOENT: "package-lock.json is missing: restore it with `git checkout package-lock.json` and start again.",
  };
  const sentence = error instanceof Refusal ? error.message : (sentences[error.code] ?? error.stack);
  process.stderr.write(`warren: ${sentence}\n`);
  process.exit(1);
}
