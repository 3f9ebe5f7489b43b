import { LedgerSettingError } from "../errors.ts";

/** Runs one statement, wherever the caller's transaction lives: pg, postgres.js, Kysely, Drizzle, Prisma, Knex. */
export type RunSql = (
  text: string,
  values: readonly unknown[],
) => Promise<{ readonly rows: readonly Record<string, unknown>[] }>;

/** A statement with a name: prepared once per connection under it, and seen under it in `pg_stat_activity` and logs. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Quoted, schema-qualified table names: statements may run on connections whose search path is not ours. */
export type TableName = (table: string) => string;

const identifier = /^[a-z_][a-z0-9_]{0,47}$/;

/**
 * Checks a schema name: lower-case letters, digits and underscores, at most 48 bytes. It is written into statements, so nothing
 * else may pass.
 */
export function parseSchemaName(schema: string): string {
  if (!identifier.test(schema) || schema.startsWith("pg_")) {
    throw new LedgerSettingError(
      `"${schema}" is no schema name: use lower-case letters, digits and underscores, at most 48, and not "pg_…"`,
    );
  }
  return schema;
}

/** Makes the function that qualifies table names of a schema. */
export function tablesOf(schema: string): TableName {
  const quoted = `"${parseSchemaName(schema)}"`;
  return (table) => `${quoted}."${parseSchemaName(table)}"`;
}

/**
 * A column's value by another name, for statements that look jobs up by id. A plan made while the table was small would prefer
 * a partial index such as "all running jobs" to the primary key, keep it, and read the whole backlog once a row later on. The
 * planner cannot match this expression to a partial index, so the primary key is all that is left.
 */
export const byIdOnly = (column: string): string => `(${column} || '')`;
