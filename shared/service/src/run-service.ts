import { openSession } from "@warren/amqp";
import { WarrenError } from "@warren/contracts";
import { openLedger } from "@warren/ledger";
import {
  createHealth,
  createLogger,
  createMetrics,
  type Health,
  type HealthResult,
  type Logger,
  openTracing,
} from "@warren/observability";
import { z } from "zod";
import {
  type AmqpConfig,
  amqpConfig,
  type LedgerConfig,
  ledgerConfig,
  type ProcessConfig,
  processConfig,
} from "./base-config.ts";
import { amqpCheck, postgresCheck, topologyCheck } from "./checks.ts";
import { ConfigError, readConfig } from "./config.ts";
import { waitForSchema } from "./connections.ts";
import { openHealthServer } from "./health-server.ts";
import { misspellings } from "./misspellings.ts";
import { type ProcessSignals, takeSignals } from "./process-signals.ts";
import type { RunningService, ServiceContext, ServiceDefinition, ServiceNeeds } from "./service.ts";
import { shutDown } from "./shutdown.ts";

/**
 * Runs a service until a signal ends it; call it once, as the whole of `main.ts`. It ends the process itself: exit 0 after an orderly
 * stop, 1 after a failure, 2 when the environment is wrong (every problem named, none with its value), 75 when it asked to be started
 * again, 128 + the signal's number after a second signal.
 */
export async function runService<C extends z.ZodObject, const N extends ServiceNeeds>(
  definition: ServiceDefinition<C, N>,
): Promise<void> {
  let log = createLogger({ service: definition.name, level: "info" });
  const signals = takeSignals(() => log);
  let settings: Settings<C>;
  try {
    settings = readSettings(definition);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    log.fatal({ code: error.code, problems: error.problems }, `wrong settings\n${error.message}`);
    process.exit(2);
  }
  log = createLogger({ service: definition.name, level: settings.process.LOG_LEVEL });
  for (const { variable, meant } of misspellings(settings.known, process.env)) {
    log.warn({ variable, meant }, `${variable} is no setting of this service: did you mean ${meant}?`);
  }
  process.exit(await live(definition, settings, log, signals));
}

/** For a supervisor: all in order, start it again. The number is EX_TEMPFAIL of sysexits.h. */
const recycleExitCode = 75;

/** 1: a failure; 2: the environment is wrong; 75: to be started again. Beside them 128 + a signal's number. */
type ExitCode = 0 | 1 | 2 | typeof recycleExitCode;

interface Settings<C extends z.ZodObject> {
  readonly process: ProcessConfig;
  readonly config: z.output<C>;
  readonly ledger: LedgerConfig | undefined;
  readonly amqp: AmqpConfig | undefined;
  /** The names of all settings that were looked for. */
  readonly known: readonly string[];
}

const nothing: z.ZodObject = z.object({});

function readSettings<C extends z.ZodObject, N extends ServiceNeeds>(definition: ServiceDefinition<C, N>): Settings<C> {
  const { ledger, amqp } = definition.needs;
  const schemas = [
    processConfig(definition.defaultPort),
    definition.config,
    ledger ? ledgerConfig : nothing,
    amqp === false ? nothing : amqpConfig,
  ] as const;
  const [own, config, database, broker] = readConfig(schemas, process.env);
  // sound: what is needed was parsed by its own schema
  return {
    process: own,
    config,
    ledger: ledger ? (database as LedgerConfig) : undefined,
    amqp: amqp === false ? undefined : (broker as AmqpConfig),
    known: schemas.flatMap((schema) => Object.keys(schema.shape)),
  };
}

/** The life of the process, in order; answers its exit code. */
async function live<C extends z.ZodObject, N extends ServiceNeeds>(
  definition: ServiceDefinition<C, N>,
  settings: Settings<C>,
  log: Logger,
  signals: ProcessSignals,
): Promise<number> {
  const { name, version } = definition;
  const stack = new AsyncDisposableStack();
  const ending = new AbortController();
  let code: ExitCode = 0;
  const fail = (error: unknown) => {
    const first = code === 0 || code === recycleExitCode;
    if (first) log.fatal({ err: error }, "the service cannot go on, stopping");
    // settings that only the service itself can judge, such as its sources
    if (first) code = error instanceof WarrenError && error.code === "CONFIG_INVALID" ? 2 : 1;
    ending.abort(error);
  };
  const recycle = (reason: unknown) => {
    if (stopping.aborted) return;
    log.info({ reason }, "the service asks to be started again, stopping");
    code = recycleExitCode;
    ending.abort(new Error("recycled"));
  };
  const stopping = AbortSignal.any([signals.stop, ending.signal]);
  const health = createHealth({ checks: {}, started: false });
  stopping.addEventListener("abort", () => health.drain(), { once: true });
  let running: RunningService | undefined;
  try {
    const foundation = await layFoundation(definition, settings, log, stack, health, fail);
    // sound: the parts are there exactly when `needs` says so
    const context = {
      name,
      version,
      config: settings.config,
      process: settings.process,
      log,
      health,
      stopping,
      fail,
      recycle,
      ...foundation.parts,
    } as unknown as ServiceContext<C, N>;
    if (definition.server === "service") running = await definition.start(context);
    await foundation.schemaReady(stopping);
    running ??= await definition.start(context);
    health.started();
    log.info({ version, port: foundation.port, node: process.versions.node }, "service started");
    await aborted(stopping);
  } catch (error) {
    if (!stopping.aborted) fail(startError(error));
  }
  const timeoutMs = settings.process.WARREN_SHUTDOWN_TIMEOUT_MS;
  const orderly = await shutDown({ service: running, rest: stack, log, timeoutMs, hurry: signals.hurry });
  log.info({ orderly }, "service stopped");
  return code === 0 ? (signals.exitCode ?? code) : code;
}

/** Opens what every service stands on, in order of need; none of it waits for a broker or a database. */
async function layFoundation<C extends z.ZodObject, N extends ServiceNeeds>(
  definition: ServiceDefinition<C, N>,
  settings: Settings<C>,
  log: Logger,
  stack: AsyncDisposableStack,
  health: Health,
  fail: (error: unknown) => void,
) {
  const { name, version, needs } = definition;
  const { process: own, ledger: database, amqp } = settings;
  const metrics = createMetrics({ service: name, version, processMetrics: true });
  const tracing = stack.use(
    openTracing({
      service: own.OTEL_SERVICE_NAME ?? `warren-${name}`,
      version,
      endpoint: own.OTEL_SDK_DISABLED === "true" ? undefined : own.OTEL_EXPORTER_OTLP_ENDPOINT,
      sampleRatio: own.OTEL_TRACES_SAMPLER_ARG,
    }),
  );
  let port = own.PORT;
  if (definition.server !== "service") {
    port = stack.use(await openHealthServer({ host: own.HOST, port, health, metrics })).port;
  }
  const parts: Record<string, unknown> = { metrics, tracing };
  let schemaReady = noSchema;
  if (database !== undefined) {
    const { DATABASE_URL, WARREN_SCHEMA, WARREN_DATABASE_POOL } = database;
    const ledger = stack.use(
      await openLedger({
        connectionString: DATABASE_URL,
        schema: WARREN_SCHEMA,
        poolSize: WARREN_DATABASE_POOL,
        applicationName: `warren-${name}`,
        log,
        metrics,
      }),
    );
    Object.assign(parts, { ledger, ledgerConfig: database });
    let schema: HealthResult = { status: "failing", detail: "not checked yet" };
    health.add("postgres", postgresCheck(ledger));
    health.add("migrations", () => schema);
    schemaReady = async (stop) => {
      await waitForSchema(ledger, log, stop, (detail) => {
        schema = { status: "failing", detail };
      });
      schema = { status: "ok" };
    };
  }
  if (needs.amqp !== false && amqp !== undefined) {
    const session = stack.use(await openSession({ urls: amqp.AMQP_URL, name, log, metrics, onFatal: fail }));
    Object.assign(parts, { session, amqpConfig: amqp });
    health.add("amqp", amqpCheck(session, needs.amqp));
    health.add("topology", topologyCheck(session, needs.amqp));
  }
  return { parts, port, schemaReady };
}

const noSchema = (_stop: AbortSignal): Promise<void> => Promise.resolve();

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Errors with a code of their own explain themselves; for others the code says where it happened. */
function startError(error: unknown): unknown {
  if (error instanceof WarrenError) return error;
  return new WarrenError("SERVICE_START_FAILED", "the service could not start", { cause: error });
}
