import { PrismaPg } from "@prisma/adapter-pg";
import { sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import knex from "knex";
import { Kysely, PostgresDialect } from "kysely";
import { Pool } from "pg";
import postgres from "postgres";
import { expect, test } from "vitest";
import { fromDrizzle, fromKnex, fromKysely, fromPg, fromPostgresJs, fromPrisma } from "../src/enqueue/transactions.ts";
import { PrismaClient } from "./fixtures/prisma-client.ts";

const nowhere = "postgres://nobody@127.0.0.1:1/nothing";
const missing = expect.objectContaining({ code: "JOB_TRANSACTION_MISSING" }) as Error;

test("a pool or client of all connections is refused, since its statements would not be in the transaction", async () => {
  const pool = new Pool({ connectionString: nowhere });
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: nowhere }) });
  const whole = knex({ client: "pg", connection: nowhere });
  expect(() => fromPg(pool)).toThrow(missing);
  expect(() => fromPostgresJs(postgres(nowhere))).toThrow(missing);
  expect(() => fromKysely(new Kysely<object>({ dialect: new PostgresDialect({ pool }) }))).toThrow(missing);
  expect(() => fromDrizzle(drizzle({ client: pool }), sql)).toThrow(missing);
  expect(() => fromKnex(whole)).toThrow(missing);
  expect(() => fromPrisma(prisma)).toThrow(missing);
  expect(() => fromPg(pool)).toThrow("fromPg: a Pool is no transaction; give it what pool.connect() gives");
  await whole.destroy();
  await prisma.$disconnect();
});

test("what is no transaction at all is refused with the name of what was expected", () => {
  const invalid = expect.objectContaining({ code: "JOB_OPTION_INVALID", details: { path: "tx" } }) as Error;
  for (const adapter of [fromPg, fromPostgresJs, fromKysely, fromKnex, fromPrisma]) {
    expect(() => adapter({} as never)).toThrow(invalid);
    expect(() => adapter(undefined as never)).toThrow(invalid);
  }
  expect(() => fromDrizzle({ execute: async () => [] }, {} as never)).toThrow("expected the sql of drizzle-orm");
});

test("a driver that answers no rows is refused", async () => {
  const run = fromKnex({ isTransaction: true, raw: async () => ({ changes: 1 }) });
  await expect(run("select 1", [])).rejects.toMatchObject({ code: "JOB_OPTION_INVALID" });
});

test("a statement that names a value which was not given is refused", async () => {
  const run = fromKnex({ isTransaction: true, raw: async () => ({ rows: [] }) });
  await expect(run("select $2", [1])).rejects.toThrow("the statement names $2, and 1 values were given");
});
