import { migrate, openLedger } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { type ServiceProcess, spawnService, startPrivateBroker, startPrivateDatabase, waitFor } from "@warren/testing";
import { type Finding, leaksIn, type Memory } from "./audit.ts";
import { senders } from "./senders.ts";

/** What the ingress under test may hold of bodies at once. */
export const maxBufferedBytes = 33_554_432;
const key = Buffer.alloc(32, 7).toString("base64");

/** Starts broker, database and an ingress with a source of every provider, all three of their own. */
export async function startUnderTest(stack: AsyncDisposableStack, more: Readonly<Record<string, string>> = {}) {
  const [broker, database] = await Promise.all([startPrivateBroker(), startPrivateDatabase()]);
  stack.use(broker);
  stack.use(database);
  const log = createLogger({ service: "fuzz", level: "fatal" });
  await migrate({ connectionString: database.url, log });
  const ledger = stack.use(await openLedger({ connectionString: database.url, log, poolSize: 2 }));
  const sources = Object.fromEntries(senders.map(({ name, settings }) => [name, settings]));
  const service = stack.use(
    await spawnService({
      entry: "services/ingress/src/main.ts",
      env: {
        NODE_OPTIONS: `--import=${new URL("watch.ts", import.meta.url).href}`,
        DATABASE_URL: database.url,
        AMQP_URL: broker.amqpUrl,
        LOG_LEVEL: "trace",
        WARREN_SOURCES: JSON.stringify(sources),
        WARREN_MAX_BUFFERED_BYTES: String(maxBufferedBytes),
        WARREN_NOTIFY_EMAIL: "operator@example.com",
        WARREN_PAYLOAD_KEYS: `fuzz:${key}`,
        ...more,
      },
    }),
  );
  // loading the code takes a long turn, before anything is taken
  told.set(service, service.records().length);
  const versions = { node: process.version, rabbitmq: broker.version, postgres: database.version };
  return { service, ledger, versions, ended: watchEnd(service) };
}

async function watchEnd(service: ServiceProcess): Promise<string> {
  const { code, signal } = await service.exited;
  return signal ?? `exit ${String(code)}`;
}

const told = new WeakMap<ServiceProcess, number>();

/** Turns of the event loop that took too long since the last time. Which input it was, is among those of the round. */
export function blockedIn(service: ServiceProcess, suspects: string): readonly Finding[] {
  const records = service.records();
  const fresh = records.slice(told.get(service) ?? 0).filter(({ fuzz }) => fuzz === "blocked");
  told.set(service, records.length);
  return fresh.map(({ ms }) => ({ rule: "no input blocks", what: `${String(ms)} ms in one turn; ${suspects}` }));
}

export async function sampleMemory(service: ServiceProcess): Promise<Memory> {
  const samples = () => service.records().filter(({ fuzz }) => fuzz === "memory");
  const before = samples().length;
  service.signal("SIGUSR2");
  const sample = await waitFor(() => samples()[before], { what: "a sample of memory", timeoutMs: 20_000 });
  return { rss: Number(sample["rss"]), heapUsed: Number(sample["heapUsed"]), external: Number(sample["external"]) };
}

/** Ends it in order, and reads its log. */
export async function endUnderTest(
  service: ServiceProcess,
  ended: Promise<string>,
  secrets: readonly string[],
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  if (service.running()) {
    const { code } = await service.terminate();
    if (code !== 0) findings.push({ rule: "ends in order", what: `exit ${String(code)} after SIGTERM` });
  } else {
    const what = `${await ended}; it logged: ${service.logs().slice(-5).join("\n")}`;
    findings.push({ rule: "never ends by itself", what });
  }
  findings.push(...leaksIn(service.logs(), secrets));
  for (const { level, msg, err } of service.records()) {
    if (level !== "error" && level !== "fatal") continue;
    const what = `logged: ${String(msg)} ${JSON.stringify(err ?? "").slice(0, 500)}`;
    findings.push({ rule: "no failure of ours", what });
  }
  return findings;
}
