import { join } from "node:path";
import { WarrenError } from "@warren/contracts";
import { migrate } from "@warren/ledger";
import { LocalServerError, startLocalPostgres } from "@warren/testing";
import { Client } from "pg";
import type { OwnServer } from "../own-server.ts";
import { stablePort } from "../ports.ts";
import { Refusal, systemCode } from "../refusal.ts";
import type { Settings } from "../settings.ts";
import type { StateFolder } from "../state-folder.ts";

export interface OpenDatabase {
  readonly databaseUrl: string;
  readonly description: string;
  readonly server: OwnServer | undefined;
}

/** DATABASE_URL, else a private PostgreSQL with its data in the state folder. */
export async function openDatabase(settings: Settings, folder: StateFolder): Promise<OpenDatabase> {
  if (settings.databaseUrl !== undefined) {
    const version = await requireDatabase(settings.databaseUrl);
    return {
      databaseUrl: settings.databaseUrl,
      description: `PostgreSQL ${version} of DATABASE_URL`,
      server: undefined,
    };
  }
  try {
    const port = await stablePort(folder.file("ports.json"), "postgres");
    const server = await startLocalPostgres({ dataDir: join(folder.path, "postgres"), port });
    return { databaseUrl: server.url, description: `PostgreSQL ${server.version}, embedded`, server };
  } catch (error) {
    if (error instanceof LocalServerError)
      throw new Refusal(`the embedded PostgreSQL cannot be started: ${error.message}`, error);
    throw error;
  }
}

const ignore = (): void => undefined;

/** Brings the schema up to date; answers what was done, in a few words. */
export async function migrateSchema(connectionString: string, schema: string): Promise<string> {
  try {
    const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
    const { applied, version } = await migrate({ connectionString, schema, log });
    return applied.length === 0
      ? `schema ${schema} at version ${version}`
      : `schema ${schema} migrated to version ${version}`;
  } catch (error) {
    if (error instanceof WarrenError)
      throw new Refusal(`the schema ${schema} cannot be migrated: ${error.message}`, error);
    throw error;
  }
}

async function requireDatabase(url: string): Promise<string> {
  if (!URL.canParse(url) || !["postgres:", "postgresql:"].includes(new URL(url).protocol)) {
    throw new Refusal("DATABASE_URL is no Postgres URL: expected postgres://user:password@host:5432/database");
  }
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>("show server_version");
    return rows[0]?.server_version ?? "";
  } catch (error) {
    throw new Refusal(databaseSentence(error, url), error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Pure. Never shows the password. */
export function databaseSentence(error: unknown, url: string): string {
  const { hostname, port, username, pathname } = new URL(url);
  const place = `${hostname}:${port === "" ? "5432" : port}`;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const user = decodeURIComponent(username);
  switch (code) {
    case "28P01":
    case "28000":
      return `PostgreSQL on ${place} refuses the user ${user}: mend user and password in DATABASE_URL`;
    case "3D000":
      return `PostgreSQL on ${place} has no database ${pathname.slice(1)}: make it (createdb ${pathname.slice(1)}) or mend DATABASE_URL`;
    case "53300":
      return `PostgreSQL on ${place} has no connection left: end some clients or raise max_connections`;
    default: {
      const why = systemCode(error) ?? (error instanceof Error ? error.message : String(error));
      return `PostgreSQL does not answer on ${place} (${why}): start it, or mend DATABASE_URL (leave it out for an embedded one)`;
    }
  }
}
