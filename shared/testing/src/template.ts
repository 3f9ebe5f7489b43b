import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { migrate } from "@warren/ledger";
import { Client } from "pg";

/** Templates by server: made once a process, looked up by all. */
const templates = new Map<string, Promise<string>>();
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };

function nothing(): void {}

/**
 * Name of a database on this server that holds the ledger's newest schema, to copy from: copying takes a tenth of the time of the
 * migrations. Made by whoever comes first, under an advisory lock. Its name tells the migrations and the day, since partitions are made
 * for days.
 */
export function migratedTemplate(databaseUrl: string): Promise<string> {
  const known = templates.get(databaseUrl);
  if (known !== undefined) return known;
  const making = makeTemplate(databaseUrl);
  templates.set(databaseUrl, making);
  making.catch(() => templates.delete(databaseUrl));
  return making;
}

async function makeTemplate(databaseUrl: string): Promise<string> {
  const name = `warren_template_${await fingerprint()}`;
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query("select pg_advisory_lock(hashtextextended($1, 0))", [name]);
    const { rowCount } = await client.query("select from pg_database where datname = $1", [name]);
    if (rowCount === 0) await fill(client, databaseUrl, name);
    return name;
  } finally {
    await client.end();
  }
}

/** Under another name until it is whole: a process that dies in between leaves nothing that looks finished. */
async function fill(client: Client, databaseUrl: string, name: string): Promise<void> {
  const draft = `${name}_draft`;
  await client.query(`drop database if exists "${draft}" with (force)`);
  await client.query(`create database "${draft}" template template0`);
  const url = new URL(databaseUrl);
  url.pathname = `/${draft}`;
  await migrate({ connectionString: url.href, schema: "warren", log: silent });
  await client.query(`alter database "${draft}" rename to "${name}"`);
}

async function fingerprint(): Promise<string> {
  const folder = new URL("../migrations/", import.meta.resolve("@warren/ledger"));
  const hash = createHash("sha256").update(new Date().toISOString().slice(0, 10));
  for (const file of (await readdir(folder)).sort()) hash.update(file).update(await readFile(new URL(file, folder)));
  return hash.digest("hex").slice(0, 16);
}
