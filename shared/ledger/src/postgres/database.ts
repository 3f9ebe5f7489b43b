import { type ClientBase, Pool, type PoolClient } from "pg";
import { asLedgerError, LedgerClosedError, LedgerUnavailableError } from "../errors.ts";
import type { LedgerLog } from "../log.ts";
import { runGathered } from "./gathered.ts";
import type { RunSql, Statement } from "./sql.ts";

export type Row = Record<string, unknown>;

export interface DatabaseOptions {
  readonly connectionString: string;
  readonly poolSize: number;
  readonly applicationName: string;
  /** Server-side limit of one statement. The client gives up 5 s later: then nobody answers any more. */
  readonly statementTimeoutMs: number;
  /** Limit of waiting for a lock, so that one caller's long transaction fails one call and not a batch. */
  readonly lockTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly log: LedgerLog;
}

/** Connections to Postgres: statements, transactions, and errors with our codes. */
export interface Database extends AsyncDisposable {
  readonly pool: Pool;
  /** Runs a prepared statement. With `lastParts` it has one binary parameter more, which lies in these parts; several are not copied. */
  readonly run: (
    statement: Statement,
    values: readonly unknown[],
    lastParts?: readonly Buffer[],
  ) => Promise<readonly Row[]>;
  readonly query: RunSql;
  readonly transaction: <T>(work: (run: RunSql) => Promise<T>) => Promise<T>;
  /** The same with prepared statements, for transactions that come again and again. */
  readonly preparedTransaction: <T>(work: (run: RunPrepared) => Promise<T>) => Promise<T>;
}

export type RunPrepared = (statement: Statement, values: readonly unknown[]) => Promise<readonly Row[]>;

/** How much longer than the server's own limit the client waits before it takes the connection for dead. */
const silenceMs = 5_000;
const nothing = Buffer.alloc(0);

/**
 * The ledger's statements all find their rows by index. A plan is made once per connection and kept, often while the queue is
 * empty, so the planner must not settle on reading the whole table because it was small then.
 */
const sessionSettings = "set enable_seqscan = off; set enable_bitmapscan = off; set jit = off";

export function openDatabase(options: DatabaseOptions): Database {
  const { log } = options;
  const pool = new Pool({
    connectionString: options.connectionString,
    max: options.poolSize,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    statement_timeout: options.statementTimeoutMs,
    query_timeout: options.statementTimeoutMs + silenceMs,
    lock_timeout: options.lockTimeoutMs,
    idle_in_transaction_session_timeout: options.statementTimeoutMs * 2,
    // Awaited before the connection is handed out.
    verify: (client, done) => {
      client.query(sessionSettings, done);
    },
  });
  // An idle connection that dies is replaced at the next call; without this listener it would end the process.
  pool.on("error", (error) => log.warn({ err: error }, "an idle connection to Postgres was lost"));
  // From its first moment, and in hand as well as idle: between the pool's own listeners are gaps (while `verify` runs, and
  // between check-out and query), and an error event that nobody hears ends the process.
  const lost = new WeakSet<ClientBase>();
  pool.on("connect", (client) => {
    client.on("error", () => lost.add(client));
  });
  let closed: Promise<void> | undefined;

  async function withClient<T>(doing: string, work: (client: PoolClient) => Promise<T>): Promise<T> {
    if (closed !== undefined) throw new LedgerClosedError(doing);
    let client: PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      const failure = asLedgerError(error, `${doing}: connect`);
      throw failure.retryable ? failure : new LedgerUnavailableError(failure.message, { cause: error });
    }
    try {
      return await work(client);
    } catch (error) {
      const failure = asLedgerError(error, doing);
      if (failure instanceof LedgerUnavailableError) lost.add(client);
      throw failure;
    } finally {
      const isLost = lost.has(client);
      if (isLost) destroySocket(client);
      client.release(isLost);
    }
  }

  async function inTransaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    const ended = await withClient("transaction", async (client) => {
      await client.query("begin");
      let result: T;
      try {
        result = await work(client);
      } catch (error) {
        await rollBack(client);
        if (error instanceof LedgerUnavailableError) throw error;
        // what the caller threw is the caller's, and passes as it is
        return { kind: "threw", error } as const;
      }
      await client.query("commit");
      return { kind: "committed", result } as const;
    });
    if (ended.kind === "threw") throw ended.error;
    return ended.result;
  }

  async function rollBack(client: PoolClient): Promise<void> {
    try {
      await client.query("rollback");
    } catch (error) {
      // The connection is gone, and the transaction with it; the caller gets the error that came first.
      log.debug({ err: error }, "rollback on a lost connection");
      destroySocket(client);
    }
  }

  return {
    pool,
    run: (statement, values, lastParts) =>
      withClient(statement.name, async (client) => {
        if (lastParts !== undefined && lastParts.length > 1) return runGathered(client, statement, values, lastParts);
        const all = lastParts === undefined ? [...values] : [...values, lastParts[0] ?? nothing];
        const result = await client.query<Row>({ name: statement.name, text: statement.text, values: all });
        return result.rows;
      }),
    query: (text, values) => withClient("query", (client) => runOn(client, text, values)),
    transaction: (work) => inTransaction((client) => work((text, values) => runOn(client, text, values))),
    preparedTransaction: (work) =>
      inTransaction((client) => work((statement, values) => runPrepared(client, statement, values))),
    [Symbol.asyncDispose]: () => {
      closed ??= pool.end();
      return closed;
    },
  };
}

async function runPrepared(client: PoolClient, statement: Statement, values: readonly unknown[]): Promise<Row[]> {
  try {
    const result = await client.query<Row>({ name: statement.name, text: statement.text, values: [...values] });
    return result.rows;
  } catch (error) {
    throw asLedgerError(error, statement.name);
  }
}

async function runOn(client: PoolClient, text: string, values: readonly unknown[]): Promise<{ rows: Row[] }> {
  try {
    const result = await client.query<Row>(text, [...values]);
    return { rows: result.rows };
  } catch (error) {
    throw asLedgerError(error, "query");
  }
}

/** Ends a connection that may be half open without waiting for a peer that no longer answers. */
function destroySocket(client: PoolClient): void {
  const { connection } = client as unknown as { readonly connection?: { readonly stream?: { destroy(): void } } };
  connection?.stream?.destroy();
}
