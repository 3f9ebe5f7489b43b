import { type AmqpSession, jobsTopology, openSession } from "@warren/amqp";
import { type Client, createClient } from "@warren/jobs";
import { type Ledger, migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics } from "@warren/observability";
import { type MailSink, startMailSink } from "@warren/sandbox";
import {
  type Broker,
  type Database,
  type ServiceProcess,
  spawnService,
  startPrivateBroker,
  startPrivateDatabase,
} from "@warren/testing";
import { type Effects, openEffects } from "./effects.ts";

const entries = {
  ingress: "services/ingress/src/main.ts",
  dispatcher: "services/dispatcher/src/main.ts",
  notifications: "services/notifications/src/main.ts",
  worker: "infra/e2e/src/worker.ts",
} as const;

export const githubSecret = "e2e-github-secret";

/** Everything real and its own: broker, database, mail server, and services as processes that a test may kill. */
export interface Platform extends AsyncDisposable {
  readonly broker: Broker;
  readonly database: Database;
  readonly mail: MailSink;
  readonly effects: Effects;
  readonly ledger: Ledger;
  /** The producer side inside the test process. */
  readonly client: Client;
  readonly session: AmqpSession;
  /** Aborts when the platform goes, also after a failed test. */
  readonly ended: AbortSignal;
  /** Starts a service; ends with the platform. `env` goes over the platform's own. */
  start(service: keyof typeof entries, env?: Readonly<Record<string, string>>): Promise<ServiceProcess>;
  /** How many jobs stand in each state, unfinished and finished. */
  states(): Promise<Readonly<Record<string, number>>>;
}

export async function startPlatform(): Promise<Platform> {
  await using stack = new AsyncDisposableStack();
  const [broker, database] = await Promise.all([startPrivateBroker(), startPrivateDatabase()]);
  stack.use(broker);
  stack.use(database);
  const mail = stack.use(await startMailSink({ smtpPort: 0, httpPort: 0 }));
  const log = createLogger({ service: "e2e", level: "error" });
  const metrics = createMetrics({ service: "e2e", version: "0" });
  await migrate({ connectionString: database.url, log });
  const effects = stack.use(await openEffects(database.url));
  const ledger = stack.use(await openLedger({ connectionString: database.url, log, poolSize: 4 }));
  const session = stack.use(await openSession({ urls: [broker.amqpUrl], name: "e2e", log }));
  await session.connected();
  const client = stack.use(
    createClient({
      ledger,
      publisher: session.publisher(),
      declare: async (queue) => {
        await session.declare(jobsTopology({ queues: [queue] }));
      },
      log,
      metrics,
    }),
  );
  const common = {
    DATABASE_URL: database.url,
    AMQP_URL: broker.amqpUrl,
    SMTP_URL: mail.smtpUrl,
    LOG_LEVEL: "info",
    WARREN_SOURCE_GITHUB: "github",
    WARREN_SOURCE_GITHUB_SECRET: githubSecret,
    WARREN_NOTIFY_EMAIL: "operator@example.com",
    WARREN_SMTP_BREAKER_FAILURES: "3",
    WARREN_SMTP_BREAKER_OPEN_MS: "1000",
  };
  const ending = new AbortController();
  const owned = stack.move();
  return {
    session,
    ended: ending.signal,
    broker,
    database,
    mail,
    effects,
    ledger,
    client,
    async start(service, env = {}) {
      return owned.use(await spawnService({ entry: entries[service], env: { ...common, ...env } }));
    },
    async states() {
      const { rows } = await effects.pool.query<{ state: string; jobs: string }>(
        `select state, count(*) as jobs from (
           select state from warren.jobs union all select state from warren.jobs_history
         ) as all_jobs group by state`,
      );
      return Object.fromEntries(rows.map(({ state, jobs }) => [state, Number(jobs)]));
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      await owned.disposeAsync();
    },
  };
}
