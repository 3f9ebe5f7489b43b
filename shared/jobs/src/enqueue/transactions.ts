import type { RunSql } from "@warren/ledger";
import { JobOptionError } from "../errors.ts";
import { cutStatement } from "./placeholders.ts";

type Row = Readonly<Record<string, unknown>>;

/** The connection of a transaction, of `pg`: a `PoolClient` or a `Client`. */
export interface PgTransaction {
  query(text: string, values: unknown[]): Promise<{ readonly rows: Record<string, unknown>[] }>;
}

/** What `sql.begin` of postgres.js gives. */
export interface PostgresJsTransaction {
  unsafe(text: string, values: never[]): PromiseLike<Iterable<Row>>;
}

/** What `db.transaction().execute` of Kysely gives, for its Postgres dialect. */
export interface KyselyTransaction {
  readonly isTransaction: boolean;
  executeQuery(query: {
    readonly sql: string;
    readonly parameters: readonly unknown[];
    readonly query: { readonly kind: "RawNode"; readonly sqlFragments: string[]; readonly parameters: never[] };
    readonly queryId: { readonly queryId: string };
  }): Promise<{ readonly rows: unknown[] }>;
}

/** What `db.transaction` of Drizzle gives, with node-postgres or postgres.js below. */
export interface DrizzleTransaction<Query> {
  execute(query: Query): PromiseLike<unknown>;
}

/** The `sql` that `drizzle-orm` exports. */
export interface DrizzleSql<Query> {
  (strings: TemplateStringsArray, ...values: unknown[]): Query;
  param(value: unknown): unknown;
}

/** What `knex.transaction` gives, with the client `pg`. */
export interface KnexTransaction {
  readonly isTransaction?: boolean | undefined;
  raw(text: string, bindings: never[]): PromiseLike<unknown>;
}

/** What `prisma.$transaction(async (tx) => …)` gives. */
export interface PrismaTransaction {
  $queryRawUnsafe<T>(text: string, ...values: unknown[]): PromiseLike<T>;
}

/**
 * `pg`: a client between `begin` and `commit`.
 * @throws JobOptionError `JOB_TRANSACTION_MISSING` for a Pool, whose statements run on any of its connections.
 */
export function fromPg(client: PgTransaction): RunSql {
  if (hasMember(client, "totalCount")) throw missing("fromPg", "a Pool", "pool.connect()");
  assertMethod("fromPg", client, "query", "a client of pg");
  return async (text, values) => client.query(text, storable(values));
}

/** postgres.js: the `sql` inside `sql.begin`. @throws JobOptionError `JOB_TRANSACTION_MISSING` for the one outside. */
export function fromPostgresJs(sql: PostgresJsTransaction): RunSql {
  if (hasMember(sql, "begin")) throw missing("fromPostgresJs", "the sql of all connections", "sql.begin");
  assertMethod("fromPostgresJs", sql, "unsafe", "the sql of a transaction of postgres.js");
  return async (text, values) => ({ rows: [...(await sql.unsafe(text, textsOf(values) as never[]))] });
}

/** Kysely. @throws JobOptionError `JOB_TRANSACTION_MISSING` for a `Kysely` that is no transaction. */
export function fromKysely(transaction: KyselyTransaction): RunSql {
  assertMethod("fromKysely", transaction, "executeQuery", "a transaction of Kysely");
  if (!transaction.isTransaction) throw missing("fromKysely", "a Kysely of all connections", "db.transaction()");
  return async (text, values) => {
    const { rows } = await transaction.executeQuery({
      sql: text,
      parameters: storable(values),
      query: { kind: "RawNode", sqlFragments: [text], parameters: [] },
      queryId: { queryId: "warren" },
    });
    return { rows: readRows("fromKysely", rows) };
  };
}

/**
 * Drizzle with node-postgres or postgres.js: `fromDrizzle(tx, sql)`, where `sql` is what `drizzle-orm` exports.
 * @throws JobOptionError `JOB_TRANSACTION_MISSING` for a database that is no transaction.
 */
export function fromDrizzle<Query>(transaction: DrizzleTransaction<Query>, sql: DrizzleSql<Query>): RunSql {
  assertMethod("fromDrizzle", transaction, "execute", "a transaction of Drizzle");
  assertMethod("fromDrizzle", sql, "param", "the sql of drizzle-orm as second argument");
  if (!hasMember(transaction, "rollback")) throw missing("fromDrizzle", "a database", "db.transaction");
  return async (text, values) => {
    const { texts, parameters } = cutStatement(text);
    const given = textsOf(values);
    const strings = Object.assign([...texts], { raw: texts });
    // a parameter, and not the value itself: Drizzle would spread an array into several
    const query = sql(strings, ...parameters.map((number) => sql.param(valueAt("fromDrizzle", given, number))));
    const answer = await transaction.execute(query);
    return { rows: readRows("fromDrizzle", hasMember(answer, "rows") ? answer.rows : answer) };
  };
}

/** Knex with the client `pg`. @throws JobOptionError `JOB_TRANSACTION_MISSING` for a Knex that is no transaction. */
export function fromKnex(transaction: KnexTransaction): RunSql {
  assertMethod("fromKnex", transaction, "raw", "a transaction of Knex");
  if (transaction.isTransaction !== true) throw missing("fromKnex", "a Knex of all connections", "knex.transaction");
  return async (text, values) => {
    const { texts, parameters } = cutStatement(text);
    const given = textsOf(values);
    // Knex takes every question mark for a binding, inside literals too, unless a backslash says otherwise
    const asked = texts.map((piece) => piece.replaceAll("?", "\\?")).join("?");
    const bindings = parameters.map((number) => valueAt("fromKnex", given, number));
    const answer = await transaction.raw(asked, bindings as never[]);
    return { rows: readRows("fromKnex", hasMember(answer, "rows") ? answer.rows : answer) };
  };
}

/**
 * Prisma's interactive transactions: `prisma.$transaction(async (tx) => …)`, by default at most 5 s long.
 * @throws JobOptionError `JOB_TRANSACTION_MISSING` for a client that is no transaction.
 */
export function fromPrisma(transaction: PrismaTransaction): RunSql {
  assertMethod("fromPrisma", transaction, "$queryRawUnsafe", "a transaction of Prisma");
  if (isFunction(Reflect.get(transaction, "$connect"))) {
    throw missing("fromPrisma", "a client of all connections", "prisma.$transaction");
  }
  return async (text, values) => ({
    rows: readRows("fromPrisma", await transaction.$queryRawUnsafe<unknown>(text, ...textsOf(values))),
  });
}

/** Drivers disagree about `undefined`; in SQL it is null. */
const storable = (values: readonly unknown[]): unknown[] => values.map((value) => value ?? null);

/**
 * Values as each of these libraries carries them alike: arrays as Postgres writes them and dates as ISO 8601. Statements of the ledger
 * name the type of every parameter, so a text becomes what it stands for.
 */
const textsOf = (values: readonly unknown[]): unknown[] =>
  values.map((value) => {
    if (Array.isArray(value)) return arrayText(value);
    return value instanceof Date ? value.toISOString() : (value ?? null);
  });

function arrayText(values: readonly unknown[]): string {
  const elements = values.map((value): string => {
    if (value === null || value === undefined) return "null";
    if (Array.isArray(value)) return arrayText(value);
    return `"${elementText(value).replaceAll(/["\\]/g, "\\$&")}"`;
  });
  return `{${elements.join(",")}}`;
}

function elementText(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Date) return value.toISOString();
  return typeof value === "bigint" ? value.toString() : JSON.stringify(value);
}

function valueAt(what: string, values: readonly unknown[], number: number): unknown {
  if (number >= 1 && number <= values.length) return values[number - 1];
  throw new RangeError(`${what}: the statement names $${number}, and ${values.length} values were given`);
}

function readRows(what: string, rows: unknown): readonly Row[] {
  if (Array.isArray(rows)) return rows as readonly Row[];
  throw new JobOptionError(
    "JOB_OPTION_INVALID",
    `${what}: the driver below gave no rows; a driver of Postgres is needed`,
    {
      details: { path: "tx" },
    },
  );
}

const isFunction = (value: unknown): boolean => typeof value === "function";

function hasMember<Name extends string>(value: unknown, name: Name): value is Readonly<Record<Name, unknown>> {
  return ((typeof value === "object" && value !== null) || typeof value === "function") && name in value;
}

function assertMethod(what: string, value: unknown, method: string, expected: string): void {
  if (hasMember(value, method) && isFunction(value[method])) return;
  throw new JobOptionError("JOB_OPTION_INVALID", `${what}: expected ${expected}`, { details: { path: "tx" } });
}

function missing(what: string, got: string, instead: string): JobOptionError {
  return new JobOptionError(
    "JOB_TRANSACTION_MISSING",
    `${what}: ${got} is no transaction; give it what ${instead} gives`,
    { details: { path: "tx" } },
  );
}
