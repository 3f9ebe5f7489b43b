import { type OpenBroker, openBroker } from "./broker/open.ts";
import { migrateSchema, type OpenDatabase, openDatabase } from "./database/open.ts";
import { keepAlive } from "./own-server.ts";
import { requirePorts, type WantedPort } from "./ports.ts";
import { ensureSecrets } from "./secrets.ts";
import { findServices, planSandbox, planServices, type ServicePlan, servicePorts } from "./services.ts";
import { repository, type Settings } from "./settings.ts";
import type { StateFolder } from "./state-folder.ts";
import { type Supervised, supervise } from "./supervisor.ts";

export interface Platform {
  readonly broker: OpenBroker;
  readonly database: OpenDatabase;
  readonly services: readonly Supervised[];
  readonly urls: {
    readonly ingress: string;
    readonly api: string;
    readonly mailbox: string | undefined;
    readonly yookassa: string | undefined;
    readonly metrics: Readonly<Record<string, string>>;
  };
  readonly secretsFolder: string;
}

export interface Starting {
  readonly settings: Settings;
  readonly folder: StateFolder;
  /** What is started is put on it, so that disposing it stops everything in reverse order. */
  readonly stack: AsyncDisposableStack;
  readonly say: (line: string) => void;
  readonly stop: AbortSignal;
}

/** Starts everything, in order. Whatever has been started when it throws is on the stack. */
export async function startPlatform({ settings, folder, stack, say, stop }: Starting): Promise<Platform> {
  const sandbox = planSandbox(settings);
  const ports = servicePorts(findServices(repository), settings.env);
  await requirePorts([...ports, apiPort(settings), ...sandboxPorts(settings)]);
  const secretsFolder = folder.file("secrets");
  await ensureSecrets(secretsFolder);

  const [broker, database] = await bothOrNone(openBroker(settings, folder, say), openDatabase(settings, folder), stack);
  for (const [name, server] of [
    ["the broker", broker.server],
    ["the database", database.server],
  ] as const) {
    if (server !== undefined) void keepAlive(name, server, stop, say);
  }
  say(`broker    ${broker.description}`);
  say(`database  ${database.description}, ${await migrateSchema(database.databaseUrl, settings.schema)}`);
  stop.throwIfAborted();

  const yookassa = settings.ownYookassa ? undefined : `http://127.0.0.1:${settings.yookassaPort}`;
  const plans = planServices(ports, settings, {
    databaseUrl: database.databaseUrl,
    amqpUrl: broker.amqpUrl,
    smtpUrl: settings.smtpUrl ?? `smtp://127.0.0.1:${settings.smtpPort}`,
    yookassaUrl: `${yookassa ?? ""}/v3`,
    secretsFolder,
  });
  const services = await startAll([...(sandbox === undefined ? [] : [sandbox]), ...plans], {
    settings,
    folder,
    stack,
    say,
  });
  const ingress = ports.find(({ name }) => name === "ingress")?.port ?? 8080;
  return {
    broker,
    database,
    services,
    secretsFolder,
    urls: {
      ingress: `http://127.0.0.1:${ingress}`,
      api: `http://127.0.0.1:${settings.apiPort}/api/v1`,
      mailbox: settings.smtpUrl === undefined ? `http://127.0.0.1:${settings.mailboxPort}` : undefined,
      yookassa,
      metrics: Object.fromEntries(ports.map(({ name, port }) => [name, `http://127.0.0.1:${port}/metrics`])),
    },
  };
}

/** Both servers start at once; when one fails, the other is still put on the stack, so that it is stopped. */
async function bothOrNone(
  broker: Promise<OpenBroker>,
  database: Promise<OpenDatabase>,
  stack: AsyncDisposableStack,
): Promise<[OpenBroker, OpenDatabase]> {
  const opened = await Promise.allSettled([broker, database]);
  for (const one of opened)
    if (one.status === "fulfilled" && one.value.server !== undefined) stack.use(one.value.server);
  const [first, second] = opened;
  if (first.status === "rejected") throw first.reason;
  if (second.status === "rejected") throw second.reason;
  return [first.value, second.value];
}

/** All at once, because the machine has several cores; they stop in reverse order, group by group. */
async function startAll(
  plans: readonly ServicePlan[],
  { settings, folder, stack, say }: Omit<Starting, "stop">,
): Promise<readonly Supervised[]> {
  const options = {
    logsFolder: folder.file("logs"),
    say,
    verbose: settings.verbose,
    shutdownMs: settings.shutdownMs,
  };
  const started = await Promise.allSettled(plans.map((plan) => supervise(plan, options)));
  const services = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const orders = [...new Set(services.map(({ plan }) => plan.order))].toSorted((a, b) => a - b);
  for (const order of orders) {
    const group = services.filter(({ plan }) => plan.order === order);
    stack.defer(async () => {
      const drained = await Promise.all(group.map((service) => service.stop()));
      group.forEach(({ plan }, index) => {
        if (drained[index] === false) say(`${plan.name} did not drain in time and was killed`);
      });
    });
  }
  for (const one of started) if (one.status === "rejected") throw one.reason;
  return services;
}

function apiPort({ apiPort: port }: Settings): WantedPort {
  return { port, owner: "the management API", variable: "WARREN_API_PORT" };
}

function sandboxPorts(settings: Settings): readonly WantedPort[] {
  const mail = [
    { port: settings.mailboxPort, owner: "mailbox", variable: "WARREN_MAILBOX_PORT" },
    { port: settings.smtpPort, owner: "the mailbox's SMTP", variable: "WARREN_SMTP_PORT" },
  ];
  const yookassa = [{ port: settings.yookassaPort, owner: "the YooKassa sandbox", variable: "WARREN_YOOKASSA_PORT" }];
  return [...(settings.smtpUrl === undefined ? mail : []), ...(settings.ownYookassa ? [] : yookassa)];
}
