import { type Ledger, migrate, type NewJob, newId, type OpenLedgerOptions, openLedger } from "@warren/ledger";
import { createWorld } from "@warren/testing";

export interface Logged {
  readonly level: string;
  readonly details: unknown;
  readonly message: string | undefined;
}

/** A log that keeps what was written. */
export function createTestLog(): { readonly log: OpenLedgerOptions["log"]; readonly lines: Logged[] } {
  const lines: Logged[] = [];
  const write = (level: string) => (details: unknown, message?: string) => {
    lines.push({ level, details, message });
  };
  const log = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  return { log, lines };
}

export interface LedgerWorld extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly databaseUrl: string;
  /** Another process, as it were: its own pool on the same schema. */
  openAnother(options?: Partial<OpenLedgerOptions>): Promise<Ledger>;
  /** Registers a worker under a fresh id. */
  worker(): Promise<string>;
  /** Empties every table, for the next test of a file. */
  clear(): Promise<void>;
  /** All unfinished and finished jobs. */
  states(): Promise<Readonly<Record<string, string>>>;
}

/** A migrated ledger in a database of its own. */
export async function openLedgerWorld(options: Partial<OpenLedgerOptions> = {}): Promise<LedgerWorld> {
  await using stack = new AsyncDisposableStack();
  const world = stack.use(await createWorld());
  const { log } = createTestLog();
  const base = { connectionString: world.databaseUrl, schema: world.schema, log };
  await migrate(base);
  const open = async (more: Partial<OpenLedgerOptions>): Promise<Ledger> =>
    resources.use(await openLedger({ ...base, ...more }));
  const resources = stack.move();
  const ledger = await open(options);
  return {
    ledger,
    databaseUrl: world.databaseUrl,
    openAnother: (more = {}) => open({ ...options, ...more }),
    worker: async () => {
      const id = newId();
      await ledger.registerWorker({ id, host: "test", pid: 1, version: "0", queues: ["default"], concurrency: 10 });
      return id;
    },
    clear: async () => {
      const tables = [
        "jobs",
        "jobs_history",
        "job_keys",
        "unique_keys",
        "workers",
        "breakers",
        "dead_letters",
        "cache",
        "event_outbox",
        "event_inbox",
      ];
      await ledger.query(`truncate ${tables.map(ledger.table).join(", ")}`, []);
    },
    states: async () => {
      const { rows } = await ledger.query(
        `select id, state from ${ledger.table("jobs")} union all select id, state from ${ledger.table("jobs_history")}`,
        [],
      );
      return Object.fromEntries(rows.map((row) => [String(row["id"]), String(row["state"])]));
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** A job that needs nothing said about it. */
export function aJob(more: Partial<NewJob> = {}): NewJob {
  return {
    queue: "default",
    name: "test.job",
    version: 1,
    payload: { hello: "world" },
    maxAttempts: 5,
    maxStalls: 1,
    correlationId: "test",
    sendBy: "dispatcher",
    ...more,
  };
}

/** Enqueues one job and gives its id. */
export async function enqueueOne(ledger: Ledger, more: Partial<NewJob> = {}): Promise<string> {
  const [result] = await ledger.enqueue([aJob(more)]);
  return result!.id;
}
