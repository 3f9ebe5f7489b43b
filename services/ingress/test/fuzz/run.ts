import { setTimeout as sleep } from "node:timers/promises";
import type { Ledger } from "@warren/ledger";
import { waitFor } from "@warren/testing";
import { audit, type Finding, growth, type KeptRequest, type Memory, overloaded } from "./audit.ts";
import { type Conversation, converse } from "./conversation.ts";
import { inputOf, planted } from "./inputs.ts";
import { senders } from "./senders.ts";
import { blockedIn, endUnderTest, maxBufferedBytes, sampleMemory, startUnderTest } from "./under-test.ts";

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
  readonly rssKibARound: number;
  readonly memory: readonly Memory[];
  readonly versions: Readonly<Record<string, string>>;
}

const atOnce = 32;
const roundMs = 10_000;
/** Rounds before the first sample of memory: code is compiled, pools and caches fill. */
const warmUpRounds = 2;

/** Starts broker, database and an ingress with a source of every provider, throws inputs at it, and audits round by round. */
export async function run({ seed, forMs, only, tell }: RunOptions): Promise<RunResult> {
  await using stack = new AsyncDisposableStack();
  const { service, ledger, versions, ended } = await startUnderTest(stack);
  tell(`${senders.length} sources, RabbitMQ ${versions.rabbitmq}, PostgreSQL ${versions.postgres}`);

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
    findings.push(...blockedIn(service, heavyOf(load.conversations)));
    await forget(ledger);
    if (!service.running()) break;
    const sample = await sampleMemory(service);
    if (round > warmUpRounds || only !== undefined) memory.push(sample);
    tell(
      `${next} inputs, ${findings.length} findings, rss ${Math.round(sample.rss / 2 ** 20)} MiB, heap ${Math.round(sample.heapUsed / 2 ** 20)} MiB`,
    );
  }

  findings.push(...(await endUnderTest(service, ended, [planted, ...senders.flatMap(({ secrets }) => secrets)])));
  const { mib, rssKibARound, findings: grown } = growth(memory);
  return {
    findings: [...findings, ...grown],
    inputs: next - (only?.from ?? 0),
    ...counts,
    overloadedAnswers,
    memoryGrowthMib: mib,
    rssKibARound,
    memory,
    versions,
  };
}

function heavyOf(conversations: readonly Conversation[]): string {
  const heavy = conversations.filter(({ input }) => input.kind === "heavy").map(({ input }) => input.number);
  return `heavy inputs: ${heavy.join(", ")}`;
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

type Reader = Pick<Ledger, "query" | "table">;

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
