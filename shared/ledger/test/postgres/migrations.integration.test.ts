import { migrate, openLedger } from "@warren/ledger";
import { createWorld, type World } from "@warren/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readMigrations } from "../../src/postgres/migrations.ts";
import { createTestLog } from "../support/ledger-world.ts";

let world: World;
const { log } = createTestLog();
beforeEach(async () => {
  world = await createWorld({ database: "empty" });
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

const target = () => ({ connectionString: world.databaseUrl, schema: "warren", log });

test("any number of processes may migrate at once: each migration is applied exactly once", async () => {
  const results = await Promise.all(Array.from({ length: 5 }, () => migrate(target())));
  const versions = (await readMigrations()).map(({ version }) => version);
  expect(results.flatMap(({ applied }) => applied).sort((a, b) => a - b)).toEqual(versions);
  expect((await migrate(target())).applied).toEqual([]);
});

test("a schema that was never migrated is behind, and says what to do", async () => {
  await using ledger = await openLedger(target());
  await expect(ledger.checkSchema()).rejects.toMatchObject({
    code: "LEDGER_SCHEMA_BEHIND",
    message: expect.stringContaining("npm run warren -- migrate"),
  });
  await migrate(target());
  await ledger.checkSchema();
});

test("a schema that a newer binary migrated is refused, by start and by migrate", async () => {
  await migrate(target());
  await using ledger = await openLedger(target());
  await ledger.query(`insert into ${ledger.table("migrations")} (version, name, checksum) values (9999, 'x', 'x')`, []);
  await expect(ledger.checkSchema()).rejects.toMatchObject({ code: "LEDGER_SCHEMA_NEWER", retryable: false });
  await expect(migrate(target())).rejects.toMatchObject({ code: "LEDGER_SCHEMA_NEWER" });
});

test("a migration whose text changed after it was applied is refused", async () => {
  await migrate(target());
  await using ledger = await openLedger(target());
  await ledger.query(`update ${ledger.table("migrations")} set checksum = 'other' where version = 1`, []);
  await expect(ledger.checkSchema()).rejects.toMatchObject({ code: "LEDGER_MIGRATION_CHANGED" });
});

test("a migration that fails is rolled back whole, and applied once its cause is gone", async () => {
  await using ledger = await openLedger(target());
  await ledger.query("create schema warren", []);
  // In the way of the last thing that the first migration makes.
  await ledger.query("create table warren.cache (x integer)", []);
  await expect(migrate(target())).rejects.toMatchObject({ code: "LEDGER_MIGRATION_FAILED" });
  const { rows } = await ledger.query("select to_regclass('warren.jobs') is null as gone", []);
  expect(rows).toEqual([{ gone: true }]);
  await ledger.query("drop table warren.cache", []);
  await migrate(target());
  await ledger.checkSchema();
});

test("a database that does not answer is unavailable, not broken", async () => {
  const nowhere = { connectionString: "postgres://postgres@127.0.0.1:1/none", log };
  await expect(migrate(nowhere)).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE", retryable: true });
  await using ledger = await openLedger({ ...nowhere, retries: 0 });
  await expect(ledger.ping()).rejects.toMatchObject({ code: "LEDGER_UNAVAILABLE", retryable: true });
});
