import { randomBytes } from "node:crypto";
import { Client } from "pg";
import { Management } from "./management.ts";
import { type TestServers, testServers } from "./servers.ts";
import { migratedTemplate } from "./template.ts";
import { waitFor } from "./wait-for.ts";

/** A broker vhost and a database that belong to one test alone. */
export interface World extends AsyncDisposable {
  readonly vhost: string;
  /** AMQP URL of the vhost. */
  readonly amqpUrl: string;
  readonly management: Management;
  /** URL of a database with the ledger's newest schema (running `migrate` on it does nothing), or an empty one. */
  readonly databaseUrl: string;
  /** The schema to use; `warren`, since the whole database is the test's own. */
  readonly schema: string;
}

export interface WorldOptions {
  /** Servers to make it on. Default: those of the test run (see `vitest-setup.ts`). */
  readonly servers?: TestServers;
  /** What the database holds at first. Default `migrated`: the ledger's newest schema. */
  readonly database?: "migrated" | "empty";
  /**
   * Whether database connections that are still open at disposal fail the test. Default `fail`; `ignore` is for tests that cut
   * connections and cannot close them.
   */
  readonly leaks?: "fail" | "ignore";
}

/** Makes a world on the servers of the test run. Takes about 50 ms. Dispose it with `await using` or in `afterEach`. */
export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const servers = options.servers ?? testServers();
  const name = `test_${process.pid}_${randomBytes(5).toString("hex")}`;
  const management = new Management(servers.managementUrl);
  const template = options.database === "empty" ? "template0" : await migratedTemplate(servers.databaseUrl);
  await Promise.all([
    management.createVhost(name),
    runOnServer(servers.databaseUrl, `create database "${name}" template "${template}"`),
  ]);
  let disposed = false;
  return {
    vhost: name,
    amqpUrl: withPath(servers.amqpUrl, name),
    management,
    databaseUrl: withPath(servers.databaseUrl, name),
    schema: "warren",
    [Symbol.asyncDispose]: async () => {
      if (disposed) return;
      disposed = true;
      const leaked = options.leaks === "ignore" ? 0 : await openConnections(servers.databaseUrl, name);
      await Promise.all([
        management.deleteVhost(name),
        runOnServer(servers.databaseUrl, `drop database if exists "${name}" with (force)`),
      ]);
      if (leaked > 0) {
        throw new Error(
          `the test left ${leaked} database connection(s) open: dispose every ledger and pool before its world`,
        );
      }
    },
  };
}

function withPath(url: string, path: string): string {
  const parsed = new URL(url);
  parsed.pathname = `/${encodeURIComponent(path)}`;
  return parsed.href;
}

async function runOnServer(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

/** A backend ends a moment after its client has closed, on a busy machine a long one; only what is still there after it counts as left open. */
async function openConnections(url: string, database: string): Promise<number> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const count = async (): Promise<number> => {
    const { rows } = await client.query<{ count: number }>(
      "select count(*)::int as count from pg_stat_activity where datname = $1 and backend_type = 'client backend'",
      [database],
    );
    return rows[0]?.count ?? 0;
  };
  try {
    await waitFor(async () => (await count()) === 0, { timeoutMs: 10_000 });
    return 0;
  } catch {
    return await count();
  } finally {
    await client.end();
  }
}
