import { setTimeout as sleep } from "node:timers/promises";
import { migrate, openLedger } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { type ServiceProcess, spawnService, startPrivateBroker, startPrivateDatabase, waitFor } from "@warren/testing";
import { audit, type Finding, growth, type KeptRequest, leaksIn, type Memory, overloaded } from "./audit.ts";
import { type Conversation, converse } from "./conversation.ts";
import { inputOf, planted } from "./inputs.ts";
import { senders } from "./senders.ts";

export interface RunOptions {
  readonly seed: number;
  readonly forMs: number;
  /** Only so many inputs, from this one on. */
  readonly only: { readonly from: number; readonly count: number } | undefined;
  readonly tell: (text: string) => void;
}

export interface RunResult {
  readonly findings: readonly Finding[];
  readonly inputs: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly statuses: Readonly<Record<string, number>>;
  readonly kept: Readonly<Record<string, number>>;
  readonly overloadedAnswers: number;
  readonly memoryGrowthMib: Memory;
  readonly memory: readonly Memory[];
  readonly versions: Readonly<Record<string, string>>;
}

const atOnce = 32;
const roundMs = 10_000;
/** Rounds before the first sample of memory: code is compiled, pools and caches fill. */
const warmUpRounds = 2;
const maxBufferedBytes = 33_554_432;
const key = Buffer.alloc(32, 7).toString("base64");

/** Starts broker, database and an ingress with a source of every provider, throws inputs at it, and audits round by round. */
export async function run({ seed, forMs, only, tell }: RunOptions): Promise<RunResult> {
  await using stack = new AsyncDisposableStack();
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
      },
    }),
  );
  const ended = watchEnd(service);
  // loading the code takes a long turn, before anything is taken
  told.set(service, service.records().length);
  tell(`${senders.length} sources, RabbitMQ ${broker.version}, PostgreSQL ${database.version}`);

  const findings: Finding[] = [];
  const counts = { kinds: {}, statuses: {}, kept: {} } as Record<"kinds" | "statuses" | "kept", Record<string, number>>;
  const count = (what: keyof typeof counts, name: string): void => {
    counts[what][name] = (counts[what][name] ?? 0) + 1;
  };
  const memory: Memory[] = [];
  let overloadedAnswers = 0;
  let next = only?.from ?? 0;
  const last = only === undefined ? Number.POSITIVE_INFINITY : only.from + only.count;
  const until = performance.now() + forMs;

  const goesOn = (): boolean => service.running() && next < last && (only !== undefined || performance.now() < until);
  for (let round = 1; goesOn(); round += 1) {
    const roundEnds = Math.min(performance.now() + roundMs, only === undefined ? until : Number.POSITIVE_INFINITY);
    const load = createLoad(service.port);
    const workers = Array.from({ length: atOnce }, async () => {
      while (next < last && performance.now() < roundEnds && service.running()) {
        next += 1;
        await load.say(seed, next - 1);
      }
    });
    await Promise.all(workers);
    const kept = await settledRequests(ledger, load.conversations);
    for (const { input, answers } of load.conversations) {
      count("kinds", input.kind);
      for (const { status, code } of answers) {
        count("statuses", `${status}${code === undefined ? "" : ` ${code}`}`);
        if (code === overloaded) overloadedAnswers += 1;
      }
    }
    for (const { status } of kept) count("kept", status);
    findings.push(
      ...load.findings,
      ...audit({ seed, conversations: load.conversations, kept }),
      ...(await jobless(ledger)),
    );
    findings.push(...blockedIn(service, load.conversations));
    await forget(ledger);
    if (!service.running()) break;
    const sample = await sampleMemory(service);
    if (round > warmUpRounds || only !== undefined) memory.push(sample);
    tell(
      `${next} inputs, ${findings.length} findings, rss ${Math.round(sample.rss / 2 ** 20)} MiB, heap ${Math.round(sample.heapUsed / 2 ** 20)} MiB`,
    );
  }

  if (service.running()) {
    const { code } = await service.terminate();
    if (code !== 0) findings.push({ rule: "ends in order", what: `exit ${String(code)} after SIGTERM` });
  } else
    findings.push({
      rule: "never ends by itself",
      what: `${await ended}; it logged: ${service.logs().slice(-5).join("\n")}`,
    });
  findings.push(...leaksIn(service.logs(), [planted, ...senders.flatMap(({ secrets }) => secrets)]));
  for (const { level, msg, err } of service.records()) {
    if (level === "error" || level === "fatal")
      findings.push({
        rule: "no failure of ours",
        what: `logged: ${String(msg)} ${JSON.stringify(err ?? "").slice(0, 500)}`,
      });
  }
  const { mib, findings: grown } = growth(memory);
  return {
    findings: [...findings, ...grown],
    inputs: next - (only?.from ?? 0),
    ...counts,
    overloadedAnswers,
    memoryGrowthMib: mib,
    memory,
    versions: { node: process.version, rabbitmq: broker.version, postgres: database.version },
  };
}

async function watchEnd(service: ServiceProcess): Promise<string> {
  const { code, signal } = await service.exited;
  return signal ?? `exit ${String(code)}`;
}

/** Speaks, and knows how many bytes were under way at the same time. */
function createLoad(port: number) {
  const conversations: Conversation[] = [];
  const findings: Finding[] = [];
  const active = new Set<{ readonly bytes: number; peakBytes: number }>();
  return {
    conversations,
    findings,
    async say(seed: number, number: number): Promise<void> {
      const input = inputOf(seed, number);
      const self = { bytes: input.pieces.reduce((sum, { bytes }) => sum + bytes.length, 0), peakBytes: 0 };
      active.add(self);
      const sum = [...active].reduce((total, { bytes }) => total + bytes, 0);
      for (const each of active) each.peakBytes = Math.max(each.peakBytes, sum);
      const conversation = await converse(port, input);
      active.delete(self);
      conversations.push({ ...conversation, input: { ...input, pieces: [] } });
      if (self.peakBytes <= maxBufferedBytes && conversation.answers.some(({ code }) => code === overloaded)) {
        const what = `input ${number} was put off with ${self.peakBytes} bytes under way`;
        findings.push({ rule: "overloaded only beyond the budget", what });
      }
    },
  };
}

type Reader = Pick<Awaited<ReturnType<typeof openLedger>>, "query" | "table">;

/** The kept requests once nothing is added any more: answers that nobody waited for may still be on their way. */
async function settledRequests(
  ledger: Reader,
  conversations: readonly Conversation[],
): Promise<readonly KeptRequest[]> {
  let before = -1;
  await waitFor(
    async () => {
      const { rows } = await ledger.query(`select count(*)::int as n from ${ledger.table("webhook_requests")}`, []);
      const now = Number(rows[0]?.["n"]);
      const still = now === before;
      before = now;
      if (!still) await sleep(200);
      return still;
    },
    { what: `${conversations.length} conversations to settle`, timeoutMs: 60_000 },
  );
  const { rows } = await ledger.query(
    `select correlation_id, status, source, dedupe_key from ${ledger.table("webhook_requests")}`,
    [],
  );
  return rows.map((row) => ({
    correlationId: String(row["correlation_id"]),
    status: String(row["status"]),
    source: String(row["source"]),
    dedupeKey: row["dedupe_key"] as string | null,
  }));
}

/** No request without the jobs that were made of it, and no job twice. */
async function jobless(ledger: Reader): Promise<readonly Finding[]> {
  const { rows } = await ledger.query(
    `select r.id from ${ledger.table("webhook_requests")} r cross join unnest(r.job_ids) as j(id)
     left join ${ledger.table("jobs")} on jobs.id = j.id where jobs.id is null`,
    [],
  );
  return rows.map(({ id }) => ({ rule: "a request and its jobs", what: `a job of request ${String(id)} is missing` }));
}

async function forget(ledger: Reader): Promise<void> {
  const tables = ["webhook_requests", "webhook_dedupe", "jobs"].map(ledger.table);
  await ledger.query(`truncate ${tables.join(", ")} cascade`, []);
}

const told = new WeakMap<ServiceProcess, number>();

/** Turns of the event loop that took too long since the last time. Which input it was, is among those of the round. */
function blockedIn(service: ServiceProcess, conversations: readonly Conversation[]): readonly Finding[] {
  const records = service.records();
  const fresh = records.slice(told.get(service) ?? 0).filter(({ fuzz }) => fuzz === "blocked");
  told.set(service, records.length);
  const heavy = conversations.filter(({ input }) => input.kind === "heavy").map(({ input }) => input.number);
  return fresh.map(({ ms }) => ({
    rule: "no input blocks",
    what: `${String(ms)} ms in one turn; heavy inputs: ${heavy.join(", ")}`,
  }));
}

async function sampleMemory(service: ServiceProcess): Promise<Memory> {
  const samples = () => service.records().filter(({ fuzz }) => fuzz === "memory");
  const before = samples().length;
  service.signal("SIGUSR2");
  const sample = await waitFor(() => samples()[before], { what: "a sample of memory", timeoutMs: 20_000 });
  return { rss: Number(sample["rss"]), heapUsed: Number(sample["heapUsed"]), external: Number(sample["external"]) };
}
