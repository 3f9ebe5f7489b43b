import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { mkdir, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Refusal } from "./refusal.ts";

const neededBytes = 500 * 1024 * 1024;

/** `.warren/`: everything that `npm start` keeps, ignored by git. */
export interface StateFolder extends AsyncDisposable {
  readonly path: string;
  file(...names: readonly string[]): string;
}

/** Makes the folder and takes it for this process. Refuses when another `npm start` of this clone runs, or the disk is nearly full. */
export async function openStateFolder(path: string): Promise<StateFolder> {
  await mkdir(join(path, "logs"), { recursive: true });
  const { bavail, bsize } = await statfs(path);
  if (bavail * bsize < neededBytes) {
    const free = Math.floor((bavail * bsize) / 1024 / 1024);
    throw new Refusal(
      `only ${free} MB are free on the disk of ${path} and Warren needs 500 MB: free some and start again`,
    );
  }
  const lock = join(path, "start.pid");
  takeLock(lock);
  return {
    path,
    file: (...names) => join(path, ...names),
    [Symbol.asyncDispose]: async () => {
      for (const name of ["running.json", "env"]) await rm(join(path, name), { force: true });
      await rm(lock, { force: true });
    },
  };
}

function takeLock(lock: string): void {
  for (;;) {
    try {
      const file = openSync(lock, "wx");
      writeSync(file, String(process.pid));
      closeSync(file);
      return;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const holder = Number(readFileSync(lock, "utf8"));
    if (runsStart(holder)) {
      throw new Refusal(
        `Warren already runs in this clone (process ${holder}): use it, or end it first (kill ${holder})`,
      );
    }
    rmSync(lock, { force: true }); // left behind by a killed process
  }
}

/** Whether this process id belongs to an `npm start`; ids are used again after a restart of the machine. */
function runsStart(pid: number): boolean {
  if (!(pid > 0) || pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("start.ts");
  } catch {
    return true; // no /proc on this system: believe the id
  }
}

const running = z.object({
  pid: z.number().int(),
  ingressUrl: z.string(),
  /** Absent where the user's own SMTP server is used. */
  mailboxUrl: z.string().optional(),
  /** Absent where a real shop is used. */
  yookassaUrl: z.string().optional(),
  metricsUrls: z.record(z.string(), z.string()),
  amqpUrl: z.string(),
  apiUrl: z.string(),
  databaseUrl: z.string(),
  schema: z.string(),
  secretsFolder: z.string(),
});

/** Where a running platform is, for the demo and other commands. */
export type Running = z.infer<typeof running>;

/** Writes `running.json` for our own commands, and `env` for `node --env-file` of everybody else's. */
export async function writeRunning(folder: StateFolder, facts: Running): Promise<void> {
  const env = { DATABASE_URL: facts.databaseUrl, AMQP_URL: facts.amqpUrl, WARREN_SCHEMA: facts.schema };
  const lines = Object.entries(env).map(([name, value]) => `${name}="${value}"\n`);
  // Both hold the database's password.
  await writeFile(folder.file("running.json"), JSON.stringify(facts, null, 2), { mode: 0o600 });
  await writeFile(folder.file("env"), lines.join(""), { mode: 0o600 });
}

/** `undefined` when no platform runs from this folder. */
export async function readRunning(path: string): Promise<Running | undefined> {
  try {
    const facts = running.parse(JSON.parse(await readFile(join(path, "running.json"), "utf8")));
    return runsStart(facts.pid) ? facts : undefined;
  } catch {
    return undefined;
  }
}
