import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { eventsTopology, jobsTopology, openSession } from "@warren/amqp";
import { createClient, createLimits } from "@warren/jobs";
import { migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics } from "@warren/observability";
import { startPrivateBroker, startPrivateDatabase } from "@warren/testing";
import type { ProcessExit } from "./audit/attempts.ts";
import { type Audited, audit, type Records } from "./audit/audit.ts";
import { createDatabaseRecord } from "./database-record.ts";
import { dispatcherSlots, type Fault, workerSlots } from "./faults.ts";
import { type Inflicted, inflict } from "./inflict.ts";
import { limits } from "./jobs.ts";
import { runLoad } from "./load.ts";
import { monoMs, readNotes } from "./notes.ts";
import { openPlace, type Place } from "./processes.ts";
import { createPromises } from "./promises.ts";
import { makeSchedules, planSchedules } from "./schedules.ts";
import { settled } from "./settle.ts";

export interface RunOptions {
  readonly seed: number;
  readonly forMs: number;
  /** Multiplies the load, about 40 calls a second. */
  readonly rate: number;
  readonly faults: readonly Fault[];
  /** How long the work that is left may take after the last fault. */
  readonly settleMs: number;
  /** Where the records of a failed run are kept; undefined: nowhere. */
  readonly keepIn: string | undefined;
  readonly tell: (text: string) => void;
}

export interface RunResult extends Audited {
  readonly faults: readonly Inflicted[];
  /** The monotonic clock. */
  readonly loadBeganMs: number;
  readonly settledMs: number | undefined;
  readonly failedCalls: Readonly<Record<string, number>>;
  readonly surprises: readonly string[];
  readonly versions: Readonly<Record<string, string>>;
}

/** One run: servers and processes of its own, load and faults, quiet, and the audit. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { seed, forMs, tell } = options;
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "warren-chaos-"));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const [broker, database] = await Promise.all([startPrivateBroker(), startPrivateDatabase()]);
  stack.use(broker);
  stack.use(database);
  tell(`RabbitMQ ${broker.version}, PostgreSQL ${database.version}`);

  const log = createLogger({ service: "chaos", level: "fatal" });
  const metrics = createMetrics({ service: "chaos", version: "0" });
  await migrate({ connectionString: database.url, log });
  const record = stack.use(await createDatabaseRecord(database.url));
  const ledger = stack.use(await openLedger({ connectionString: database.url, log, poolSize: 6 }));
  await createLimits({ ledger }).declare(limits);
  const session = stack.use(await openSession({ urls: [broker.amqpUrl], name: "chaos", log }));
  await session.connected();
  await session.declare(eventsTopology());
  const declare = (queue: string) => session.declare(jobsTopology({ queues: [queue] })).then(() => undefined);
  const client = stack.use(createClient({ ledger, publisher: session.publisher(), declare, log, metrics }));

  const exits: ProcessExit[] = [];
  const surprises: string[] = [];
  const common = {
    entryEnv: {
      DATABASE_URL: database.url,
      AMQP_URL: broker.amqpUrl,
      LOG_LEVEL: "warn",
      CHAOS_NOTES: folder,
      WARREN_SHUTDOWN_TIMEOUT_MS: "10000",
    },
  };
  const open = (name: string, entry: string): Promise<Place> =>
    openPlace({
      name,
      entry,
      env: common.entryEnv,
      onExit: (exit) => exits.push(exit),
      onSurprise: (what) => {
        surprises.push(what);
        tell(what.split("\n")[0] ?? "");
      },
    });
  const places = (kind: string, entry: string, count: number) =>
    Promise.all(Array.from({ length: count }, async (_, slot) => stack.use(await open(`${kind}-${slot}`, entry))));
  const [dispatchers, workers] = await Promise.all([
    places("dispatcher", "services/dispatcher/src/main.ts", dispatcherSlots),
    places("worker", "infra/chaos/src/worker.ts", workerSlots),
  ]);

  const ending = new AbortController();
  const giveUp = new AbortController();
  stack.defer(() => ending.abort());
  stack.defer(() => giveUp.abort());
  const promises = createPromises(giveUp.signal);
  const schedules = planSchedules(Date.now() + 2_000, forMs - 4_000);
  await makeSchedules(client, schedules);
  tell(`load for ${forMs / 1_000} s, ${options.faults.length} faults`);
  const loadBeganMs = monoMs();
  const load = runLoad({ client, ledger, promises, seed, rate: options.rate, stopping: ending.signal });
  const striking = inflict(options.faults, { workers, dispatchers, broker, database }, (fault) =>
    tell(`${seconds(fault.atMs)} ${fault.target} ${fault.action}, ${seconds(fault.overMs - fault.beganMs)}`),
  );
  await Promise.race([sleep(forMs), load]);
  ending.abort();
  const faults = await striking;
  setTimeout(() => giveUp.abort(), options.settleMs).unref();
  await load;
  tell(`${promises.jobs.length + promises.flows.length} calls made; waiting for the rest to be done`);
  const settledMs = await settled(record.pool, promises, schedules, options.settleMs);
  tell(settledMs === undefined ? "it did not come to rest" : `at rest after ${seconds(settledMs)}`);
  await Promise.all([...workers, ...dispatchers].map((place) => place.end()));

  const records: Records = {
    promised: promises.jobs,
    flows: promises.flows,
    refusals: promises.refusals,
    schedules,
    notes: readNotes(folder),
    exits,
    effects: await record.effects(),
    moves: await record.moves(),
    orders: await record.orders(),
  };
  const audited = audit(records);
  if (audited.findings.length > 0 && options.keepIn !== undefined) {
    await keep(options.keepIn, { ...records, faults, findings: audited.findings });
    await mkdir(join(options.keepIn, "logs"), { recursive: true });
    for (const place of [...workers, ...dispatchers]) {
      await writeFile(join(options.keepIn, "logs", `${place.name}.log`), place.logs().join("\n"));
    }
    for (const table of ["jobs", "jobs_history", "flows", "flow_nodes", "flow_undos", "queue_turns", "workers"]) {
      const { rows } = await record.pool.query<object>(`select * from warren.${table}`);
      await keep(options.keepIn, { [`warren-${table}`]: rows });
    }
    tell(`records kept in ${options.keepIn}`);
  }
  return {
    ...audited,
    faults,
    loadBeganMs,
    settledMs,
    failedCalls: promises.failures(),
    surprises,
    versions: { rabbitmq: broker.version, postgres: database.version, node: process.version },
  };
}

/** Each list as a file of JSON lines. */
async function keep(folder: string, lists: object): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, list] of Object.entries(lists) as readonly [string, readonly unknown[]][]) {
    await writeFile(join(folder, `${name}.jsonl`), list.map((one) => `${JSON.stringify(one)}\n`).join(""));
  }
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
