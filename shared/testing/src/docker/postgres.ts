import type { Database } from "../broker-and-database.ts";
import { ask } from "../local/ask.ts";
import { freePort } from "../local/ports.ts";
import { waitFor } from "../wait-for.ts";
import { containerLife } from "./engine.ts";

export interface DockerPostgresOptions {
  /** Default: WARREN_POSTGRES_IMAGE, else `postgres:18`. */
  readonly image?: string;
  /** Server settings, as in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
}

export function postgresImage(): string {
  return process.env["WARREN_POSTGRES_IMAGE"] ?? "postgres:18";
}

/** Starts PostgreSQL in a container by testcontainers. Its published port is fixed, so that its URL outlives a restart. */
export async function startDockerPostgres(options: DockerPostgresOptions = {}): Promise<Database> {
  const { GenericContainer, Wait } = await import("testcontainers");
  const port = await freePort();
  const settings = { max_connections: "300", ...options.settings };
  const container = await new GenericContainer(options.image ?? postgresImage())
    .withExposedPorts({ container: 5432, host: port })
    .withEnvironment({ POSTGRES_USER: "postgres", POSTGRES_PASSWORD: "warren", POSTGRES_DB: "postgres" })
    .withCommand(["postgres", ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])])
    .withWaitStrategy(Wait.forLogMessage("database system is ready to accept connections"))
    .start();
  const url = `postgres://postgres:warren@${container.getHost()}:${port}/postgres`;
  const answers = (): Promise<void> => ready(url);
  await answers();
  return {
    ...(await containerLife(container, answers)),
    url,
    port,
    version: await ask(url, "show server_version"),
  };
}

/** The official image starts once for itself before it starts for us; only an answered query over TCP tells. */
async function ready(url: string): Promise<void> {
  const options = { what: "PostgreSQL in its container to answer", timeoutMs: 60_000, intervalMs: 50 };
  await waitFor(() => ask(url, "select 1"), options);
}
