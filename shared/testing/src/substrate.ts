import { mkdtemp, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Broker, Database } from "./broker-and-database.ts";
import { dockerAnswers, imageAvailable } from "./docker/engine.ts";
import { postgresImage, startDockerPostgres } from "./docker/postgres.ts";
import { rabbitImage, startDockerRabbit } from "./docker/rabbit.ts";
import { LocalServerError } from "./local/ports.ts";
import { startLocalPostgres } from "./local/postgres.ts";
import { findRabbit, startLocalRabbit } from "./local/rabbit.ts";

/** What test servers are made of: containers, or processes of this machine. */
export type Substrate = "docker" | "local";

const variable = "WARREN_TEST_SUBSTRATE";

/**
 * WARREN_TEST_SUBSTRATE where it is set (`docker` or `local`); else `docker` when an engine answers and has or can pull the images;
 * else `local`. The choice is kept in that variable, so that all processes of a test run agree.
 */
export async function chooseSubstrate(env: NodeJS.ProcessEnv = process.env): Promise<Substrate> {
  const wanted = env[variable];
  if (wanted === "docker" || wanted === "local") return wanted;
  if (wanted !== undefined && wanted !== "") {
    throw new LocalServerError("CONFIG_INVALID", `${variable} must be "docker" or "local", not "${wanted}"`);
  }
  const substrate = (await dockerUsable()) ? "docker" : "local";
  env[variable] = substrate;
  return substrate;
}

async function dockerUsable(): Promise<boolean> {
  if (!(await dockerAnswers())) return false;
  // Without the images and without a local broker, let Docker say which image it cannot pull.
  return (await testImagesAvailable()) || findRabbit() === undefined;
}

/** Whether the engine has the images of RabbitMQ and PostgreSQL, or can pull them. */
export async function testImagesAvailable(): Promise<boolean> {
  const images = await Promise.all([imageAvailable(rabbitImage()), imageAvailable(postgresImage())]);
  return images.every(Boolean);
}

/** Tests lose nothing by it: what a killed server wrote survives as long as the machine does. */
const testSettings = {
  fsync: "off",
  full_page_writes: "off",
  autovacuum: "on",
  max_wal_size: "256MB",
  // in the data folder, so that a killed server leaves nothing behind
  dynamic_shared_memory_type: "mmap",
} as const;

const memoryFolder = "/dev/shm";
const memoryNeededBytes = 4 * 2 ** 30;

/**
 * A new folder for the data of a server: in memory where there is room, else on disk. Every test makes and drops a database, hundreds
 * of files each, and ext4 looks for a free inode past all that were deleted in the last seconds: half of the whole run's CPU time.
 */
async function dataFolder(prefix: string): Promise<string> {
  const free = await statfs(memoryFolder).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => 0,
  );
  return mkdtemp(join(free >= memoryNeededBytes ? memoryFolder : tmpdir(), prefix));
}

/** Starts a RabbitMQ that belongs to the caller alone: it may be killed, frozen and restarted. Takes two to seven seconds. */
export async function startPrivateBroker(): Promise<Broker> {
  if ((await chooseSubstrate()) === "docker") return startDockerRabbit();
  const folder = await dataFolder("warren-rabbit-");
  const rabbit = await startLocalRabbit({ dataDir: folder }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  return {
    ...rabbit,
    // Nobody needs its data any more, and an orderly stop takes seconds.
    [Symbol.asyncDispose]: async () => {
      await rabbit.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Starts a PostgreSQL that belongs to the caller alone: it may be killed, frozen and restarted. Takes about a second. `more`: server
 * settings, as in postgresql.conf.
 */
export async function startPrivateDatabase(more: Readonly<Record<string, string>> = {}): Promise<Database> {
  const settings = { ...testSettings, ...more };
  if ((await chooseSubstrate()) === "docker") return startDockerPostgres({ settings });
  const folder = await dataFolder("warren-postgres-");
  const postgres = await startLocalPostgres({ dataDir: folder, settings }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  return {
    ...postgres,
    [Symbol.asyncDispose]: async () => {
      await postgres.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
