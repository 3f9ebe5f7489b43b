import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { Client } from "pg";
import { asLedgerError, LedgerSchemaError } from "../errors.ts";
import type { LedgerLog } from "../log.ts";
import { type PartitionPlan, preparePartitions } from "../partitions.ts";
import { parseSchemaName, type RunSql, tablesOf } from "./sql.ts";

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly text: string;
  readonly checksum: string;
}

export interface MigrateOptions {
  readonly connectionString: string;
  /** Default `warren`. Made if missing. */
  readonly schema?: string;
  readonly log: LedgerLog;
}

export interface MigrateResult {
  /** Versions that this call applied; empty when the schema was up to date. */
  readonly applied: readonly number[];
  readonly version: number;
}

interface Applied {
  readonly version: number;
  readonly checksum: string;
}

const folder = new URL("../../migrations/", import.meta.url);
const fileName = /^(\d{4})_([a-z0-9_-]+)\.sql$/;
const ahead: PartitionPlan = { daysBack: 1, daysAhead: 3 };

/** Reads the migrations that this binary knows, in order. */
export async function readMigrations(from: URL = folder): Promise<readonly Migration[]> {
  const names = (await readdir(from)).filter((name) => name.endsWith(".sql")).sort();
  const migrations: Migration[] = [];
  for (const file of names) {
    const match = fileName.exec(file);
    const [, number, name] = match ?? [];
    if (number === undefined || name === undefined) {
      throw new LedgerSchemaError("LEDGER_MIGRATION_FAILED", `"${file}" is not named NNNN_name.sql`);
    }
    const version = Number(number);
    if (migrations.some((known) => known.version === version)) {
      throw new LedgerSchemaError("LEDGER_MIGRATION_FAILED", `two migrations have the number ${number}`);
    }
    const text = await readFile(new URL(file, from), "utf8");
    migrations.push({ version, name, text, checksum: createHash("sha256").update(text).digest("hex") });
  }
  return migrations;
}

/**
 * Brings the schema up to date: each missing migration once, in order, each in its own transaction, under an advisory lock of
 * this schema, so that any number of processes may start at once. Forward only: refuses a schema newer than it knows.
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const schema = parseSchemaName(options.schema ?? "warren");
  const migrations = await readMigrations();
  const client = new Client({
    connectionString: options.connectionString,
    application_name: "warren-migrate",
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  client.on("error", (error) => options.log.warn({ err: error }, "the connection of the migration was lost"));
  try {
    await client.connect();
    return await migrateOn(client, schema, migrations, options.log);
  } catch (error) {
    throw asLedgerError(error, "migrate");
  } finally {
    await client.end();
  }
}

async function migrateOn(
  client: Client,
  schema: string,
  migrations: readonly Migration[],
  log: LedgerLog,
): Promise<MigrateResult> {
  const run: RunSql = (text, values) => client.query<Record<string, unknown>>(text, [...values]);
  const table = tablesOf(schema);
  // Held until the connection ends. Its own key, so that two schemas of one database do not wait for each other.
  await run("select pg_advisory_lock(hashtextextended($1, 0))", [`warren:migrate:${schema}`]);
  if (!(await schemaExists(run, schema))) await run(`create schema if not exists "${schema}"`, []);
  await run(
    `create table if not exists ${table("migrations")} (
       version integer primary key,
       name text not null,
       checksum text not null,
       applied_at timestamptz not null default now()
     )`,
    [],
  );
  const missing = compareMigrations(await appliedMigrations(run, table("migrations")), migrations).missing;
  for (const migration of missing) {
    await applyMigration(client, schema, migration);
    log.info({ schema, version: migration.version, name: migration.name }, "migration applied");
  }
  await preparePartitions(run, table, ahead);
  return { applied: missing.map(({ version }) => version), version: migrations.at(-1)?.version ?? 0 };
}

async function schemaExists(run: RunSql, schema: string): Promise<boolean> {
  const { rows } = await run("select 1 from pg_catalog.pg_namespace where nspname = $1", [schema]);
  return rows.length > 0;
}

async function applyMigration(client: Client, schema: string, migration: Migration): Promise<void> {
  await client.query("begin");
  try {
    // The name was checked; it travels as a value all the same.
    await client.query("select set_config('search_path', quote_ident($1), true)", [schema]);
    await client.query(migration.text);
    await client.query("insert into migrations (version, name, checksum) values ($1, $2, $3)", [
      migration.version,
      migration.name,
      migration.checksum,
    ]);
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    const message = error instanceof Error ? error.message : String(error);
    throw new LedgerSchemaError(
      "LEDGER_MIGRATION_FAILED",
      `migration ${migration.version} (${migration.name}) failed and was rolled back: ${message}`,
      { cause: error },
    );
  }
}

async function appliedMigrations(run: RunSql, migrationsTable: string): Promise<readonly Applied[]> {
  const { rows } = await run(`select version, checksum from ${migrationsTable} order by version`, []);
  return rows.map((row) => ({ version: Number(row["version"]), checksum: String(row["checksum"]) }));
}

/** What a schema lacks. Throws when it holds what this binary does not know, or what it knows otherwise. */
function compareMigrations(
  applied: readonly Applied[],
  known: readonly Migration[],
): { readonly missing: readonly Migration[] } {
  for (const { version, checksum } of applied) {
    const migration = known.find((candidate) => candidate.version === version);
    if (migration === undefined) {
      throw new LedgerSchemaError(
        "LEDGER_SCHEMA_NEWER",
        `the schema has migration ${version}, this binary knows up to ${known.at(-1)?.version ?? 0}`,
        { details: { version } },
      );
    }
    if (migration.checksum !== checksum) {
      throw new LedgerSchemaError(
        "LEDGER_MIGRATION_CHANGED",
        `migration ${version} (${migration.name}) was applied with another text than this binary has`,
        { details: { version } },
      );
    }
  }
  return { missing: known.filter(({ version }) => applied.every((row) => row.version !== version)) };
}

/** Refuses to work on a schema that is older or newer than this binary. Reads only. */
export async function checkSchema(run: RunSql, schema: string): Promise<void> {
  const { rows } = await run("select 1 where to_regclass($1) is not null", [`"${schema}".migrations`]);
  const applied = rows.length === 0 ? [] : await appliedMigrations(run, tablesOf(schema)("migrations"));
  const { missing } = compareMigrations(applied, await readMigrations());
  if (missing.length > 0) {
    const versions = missing.map(({ version }) => version);
    throw new LedgerSchemaError(
      "LEDGER_SCHEMA_BEHIND",
      `the schema "${schema}" lacks migration ${versions.join(", ")}: run \`npm run warren -- migrate\``,
      { details: { missing: versions } },
    );
  }
}
