import { type AmqpSession, jobsTopology, openSession } from "@warren/amqp";
import { WarrenError } from "@warren/contracts";
import {
  type Client,
  type Control,
  createClient,
  createControl,
  createLimits,
  createSubscriber,
  createWorker,
  type JobHandler,
  openPayloads,
  parseOptions,
  payloadSettings,
  type QueueControl,
  type Subscriber,
  type Subscription,
  type Worker,
  type WorkerOptions,
} from "@warren/jobs";
import { type Ledger, migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics, type Logger, type Metrics } from "@warren/observability";
import { z } from "zod";
import { amqpConfig, ledgerConfig, logLevel } from "./base-config.ts";
import { type Environment, readConfig } from "./config.ts";

export interface WarrenOptions {
  /** Who this is, in the broker's and the database's lists of connections, in logs and metrics. */
  readonly name: string;
  /**
   * Where `DATABASE_URL`, `AMQP_URL`, `WARREN_SCHEMA`, `WARREN_DATABASE_POOL`, `LOG_LEVEL`, `WARREN_PAYLOAD_KEYS`, `WARREN_PAYLOAD_STORE`
   * and the `AWS_…` of that store are read from; each may come as `NAME_FILE`. Default `process.env`.
   */
  readonly environment?: Environment;
  /**
   * Whether to bring the schema up to date first, which takes the rights to do so. Default false: a schema that does not fit is refused
   * (`LEDGER_SCHEMA_BEHIND`).
   */
  readonly migrate?: boolean;
  /** How long `[Symbol.asyncDispose]` lets running handlers finish, before their jobs are handed back. Default 20 s. */
  readonly drainMs?: number;
  /** Default: pino at `LOG_LEVEL`. */
  readonly log?: Logger;
  /** Default: a registry of its own; serve `metrics.text()` to see it. */
  readonly metrics?: Metrics;
}

/** Warren in a process of yours: an HTTP backend that enqueues, a worker, a script. */
export interface Warren extends AsyncDisposable {
  readonly client: Client;
  readonly control: Control;
  readonly limits: QueueControl;
  readonly ledger: Ledger;
  readonly session: AmqpSession;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Starts a worker, which ends with this object. @throws as `createWorker`. */
  startWorker(jobs: readonly JobHandler[], options?: WarrenWorkerOptions): Promise<Worker>;
  /** Starts a subscriber, which ends with this object. @throws as `createSubscriber`. */
  startSubscriber(subscriptions: readonly Subscription[]): Promise<Subscriber>;
  /** Takes no more, lets handlers finish for at most `drainMs`, hands back the rest, closes every connection. */
  [Symbol.asyncDispose](): Promise<void>;
}

export type WarrenWorkerOptions = Omit<WorkerOptions, "ledger" | "session" | "jobs" | "log" | "metrics" | "payloads">;

const warrenOptions = z.strictObject({
  name: z.string().min(1).max(100),
  environment: z.unknown().optional(),
  migrate: z.boolean().optional(),
  drainMs: z.number().int().min(0).optional(),
  log: z.unknown().optional(),
  metrics: z.unknown().optional(),
});

/** What `drain` and dispose end, in this order. */
type Ending = Pick<Worker, "quiet" | "drain">;

/**
 * Opens Warren from the environment. The broker may be away: enqueuing does not need it. Delays, retries, schedules and rescue need a
 * `services/dispatcher` somewhere. Signals are yours; `runService` is for processes that have nothing else to do.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`; ConfigError naming every wrong variable; LedgerError `LEDGER_UNAVAILABLE`, `LEDGER_SCHEMA_BEHIND`, `LEDGER_SCHEMA_NEWER`.
 */
export async function openWarren(options: WarrenOptions): Promise<Warren> {
  const { name, drainMs = 20_000 } = parseOptions("openWarren", warrenOptions, options);
  const { environment = process.env } = options;
  const schemas = [ledgerConfig, amqpConfig, payloadSettings, z.object({ LOG_LEVEL: logLevel })] as const;
  const [database, broker, sealing, logging] = readConfig(schemas, environment);
  const { log = createLogger({ service: name, level: logging.LOG_LEVEL }) } = options;
  const { metrics = createMetrics({ service: name, version: "" }) } = options;
  const { DATABASE_URL: connectionString, WARREN_SCHEMA: schema, WARREN_DATABASE_POOL: poolSize } = database;
  const payloads = openPayloads(sealing);
  const stack = new AsyncDisposableStack();
  try {
    if (options.migrate === true) await migrate({ connectionString, schema, log });
    const ledger = stack.use(
      await openLedger({ connectionString, schema, poolSize, log, metrics, applicationName: name }),
    );
    await ledger.checkSchema();
    const session = stack.use(await openSession({ urls: broker.AMQP_URL, name, log, metrics }));
    const publisher = stack.use(session.publisher());
    const declare = async (queue: string) => void (await session.declare(jobsTopology({ queues: [queue] })));
    const parts = { log, metrics };
    const client = stack.use(createClient({ ledger, publisher, declare, payloads, ...parts }));
    const control = stack.use(createControl({ ledger, session, payloads, log }));

    const endWithUs = (ending: Ending): void =>
      stack.defer(async () => {
        await ending.quiet();
        await ending.drain(AbortSignal.timeout(drainMs));
      });

    const assertOpen = (what: string): void => {
      if (stack.disposed) throw new WarrenError("WARREN_CLOSED", `${what}: this Warren is closed`, { retryable: true });
    };

    return {
      client,
      control,
      limits: createLimits({ ledger }),
      ledger,
      session,
      ...parts,
      async startWorker(jobs, more = {}) {
        assertOpen("startWorker");
        const worker = stack.use(createWorker({ ...more, ledger, session, jobs, payloads, ...parts }));
        endWithUs(worker);
        await worker.start();
        return worker;
      },
      async startSubscriber(subscriptions) {
        assertOpen("startSubscriber");
        const subscriber = stack.use(createSubscriber({ ledger, session, subscriptions, ...parts }));
        endWithUs(subscriber);
        await subscriber.start();
        return subscriber;
      },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}
