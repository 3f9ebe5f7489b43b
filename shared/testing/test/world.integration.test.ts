import { Client } from "pg";
import { expect, test } from "vitest";
import { createWorld } from "../src/index.ts";

test("a world is a database and an empty vhost of its own, and both are gone after disposal", async () => {
  const other = await createWorld();
  const world = await createWorld();
  const client = new Client({ connectionString: world.databaseUrl });
  await client.connect();
  const { rows } = await client.query("select count(*)::int as tables from pg_tables where schemaname = 'public'");
  await client.end();
  expect(rows).toEqual([{ tables: 0 }]);
  expect(await world.management.queues(world.vhost)).toEqual([]);
  expect(world.vhost).not.toBe(other.vhost);
  expect(new URL(world.amqpUrl).pathname).toBe(`/${world.vhost}`);

  await world[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
  expect(await other.management.request("GET", `/vhosts/${world.vhost}`)).toBeUndefined();
  const gone = new Client({ connectionString: world.databaseUrl });
  await expect(gone.connect()).rejects.toThrow(/does not exist/);
  await other[Symbol.asyncDispose]();
});

test.for([
  { options: {}, migrated: true },
  { options: { database: "empty" }, migrated: false },
] as const)("with $options its database holds the newest schema: $migrated", async ({ options, migrated }) => {
  await using world = await createWorld(options);
  const client = new Client({ connectionString: world.databaseUrl });
  await client.connect();
  const { rows } = await client.query("select to_regclass('warren.jobs') is not null as migrated");
  await client.end();
  expect(rows).toEqual([{ migrated }]);
});

test("a test that leaves a database connection open fails at disposal, and the database is dropped all the same", async () => {
  const world = await createWorld();
  const client = new Client({ connectionString: world.databaseUrl });
  client.on("error", () => {});
  await client.connect();
  await expect(world[Symbol.asyncDispose]()).rejects.toThrow("1 database connection(s) open");
  await expect(new Client({ connectionString: world.databaseUrl }).connect()).rejects.toThrow(/does not exist/);
});
