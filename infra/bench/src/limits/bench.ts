import { setTimeout as sleep } from "node:timers/promises";
import { type Ledger, migrate, openLedger, type QueuePolicy } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { spawnService } from "@warren/testing";
import { cpuTimes } from "../ingress/cpu.ts";
import type { BenchOptions } from "../main.ts";
import { keepResult } from "../results.ts";
import { Role } from "../role.ts";
import { startServers } from "../servers.ts";
import { median, spread } from "../statistics.ts";
import { type QueueName, queues } from "./definitions.ts";

const bytes = 512;
const keys = 10_000;
const waiting = Number(process.env["BENCH_WAITING"] ?? 1_000_000);
const aim = 0.6;
const rate = { limit: 1_000_000, perMs: 1_000, burst: 1_000_000 };

/** High enough that they never bind: what is measured is what asking costs. */
const policies: Readonly<Record<Exclude<QueueName, "direct">, QueuePolicy>> = {
  line: { concurrency: 100_000, rate, priority: true },
  turns: { concurrency: 100_000, rate, priority: true, fairness: true },
  keys: { concurrency: 100_000, rate, priority: true, keyConcurrency: 100 },
};

interface Drained {
  readonly perSecond: number;
  readonly lost: number;
  readonly duplicates: number;
  /** CPU microseconds a job, of each process: on a machine that others use too they say more than the rate. */
  readonly cpuUs: {
    readonly database: number;
    readonly broker: number;
    readonly dispatcher: number;
    readonly worker: number;
  };
}

interface Receipt {
  readonly unique: number;
  readonly duplicates: number;
  readonly ms: number;
  readonly cpuMs: number;
}

/**
 * How fast a governed queue drains, as a share of a direct one in the same run. Each queue holds its backlog before the clock starts: jobs of
 * 512 bytes over 10,000 keys and ten priorities; in every governed queue a million more wait behind those that are drained. The direct
 * queue's backlog is in the broker, which is where it waits. End: all were run once and are settled.
 */
export async function run(options: BenchOptions): Promise<void> {
  const count = options.count ?? 50_000;
  await using servers = await startServers();
  const log = createLogger({ service: "bench", level: "warn" });
  const connection = { connectionString: servers.databaseUrl, log };
  await migrate(connection);
  await using ledger = await openLedger({ ...connection, statementTimeoutMs: 600_000 });
  for (const [queue, policy] of Object.entries(policies)) await ledger.limits.change(queue, policy);

  const env = { BENCH_AMQP_URL: servers.amqpUrl, BENCH_DATABASE_URL: servers.databaseUrl };
  await using worker = new Role(new URL("worker-role.ts", import.meta.url), "worker", env);
  await using closing = new AsyncDisposableStack();
  const dispatcher = await spawnService({
    entry: "services/dispatcher/src/main.ts",
    env: { DATABASE_URL: servers.databaseUrl, AMQP_URL: servers.amqpUrl, LOG_LEVEL: "warn" },
  });
  closing.use(dispatcher);

  console.log(`preloading ${waiting} waiting jobs in each governed queue`);
  const governed = queues.filter((queue) => queue !== "direct");
  for (const queue of governed) await load(ledger, queue, waiting, 0);
  await ledger.query(`vacuum analyze ${ledger.table("jobs")}`, []);

  let numbered = waiting;
  const drain = async (queue: QueueName): Promise<Drained> => {
    // above the preloaded ones, which stand behind it; the direct queue's backlog waits in the broker
    await load(ledger, queue, count, numbered, queue === "direct" ? 0 : 10);
    numbered += count;
    if (queue === "direct") await allSent(ledger);
    const before = cpuTimes(dispatcher.pid);
    const { unique, duplicates, ms, cpuMs } = await worker.ask<Receipt>({ do: "drain", queue, count });
    const after = cpuTimes(dispatcher.pid);
    const each = (of: "postgres" | "broker" | "server"): number => Math.round((after[of] - before[of]) / count);
    return {
      perSecond: Math.round((count * 1_000) / ms),
      lost: count - unique,
      duplicates,
      cpuUs: {
        database: each("postgres"),
        broker: each("broker"),
        dispatcher: each("server"),
        worker: Math.round((cpuMs * 1_000) / count),
      },
    };
  };

  console.log("warming up");
  for (const queue of queues) await drain(queue);
  const runs: Record<string, unknown>[] = [];
  const rates = new Map<QueueName, number[]>(queues.map((queue) => [queue, []]));
  const ratios = new Map<QueueName, number[]>(queues.map((queue) => [queue, []]));
  const costs = new Map<QueueName, number[]>(queues.map((queue) => [queue, []]));
  let lost = 0;
  let duplicates = 0;
  for (let number = 1; number <= options.runs; number += 1) {
    const drained: Partial<Record<QueueName, Drained>> = {};
    for (const queue of queues) {
      const one = await drain(queue);
      drained[queue] = one;
      lost += one.lost;
      duplicates += one.duplicates;
      rates.get(queue)?.push(one.perSecond);
      costs.get(queue)?.push(Object.values(one.cpuUs).reduce((sum, us) => sum + us, 0));
      ratios.get(queue)?.push(one.perSecond / (drained.direct?.perSecond ?? Number.NaN));
    }
    runs.push({ run: number, ...drained });
    console.log(`run ${number}:`, queues.map((queue) => text(queue, drained[queue])).join(", "));
    await sleep(500);
  }

  const cpuOf = (queue: QueueName): number => median(costs.get(queue) ?? []);
  const share = (queue: QueueName): number => Math.round(median(ratios.get(queue) ?? []) * 100) / 100;
  await keepResult({
    bench: "limits",
    settings: { count, bytes, keys, waiting, policies, aim, ...servers.versions },
    runs,
    summary: {
      perSecond: Object.fromEntries(queues.map((queue) => [queue, spread(rates.get(queue) ?? []).median])),
      shareOfDirect: Object.fromEntries(governed.map((queue) => [queue, share(queue)])),
      cpuUsPerJob: Object.fromEntries(queues.map((queue) => [queue, cpuOf(queue)])),
      lost,
      duplicates,
    },
  });
}

function text(queue: QueueName, drained: Drained | undefined): string {
  return `${queue} ${drained?.perSecond}/s (CPU us a job: ${Object.values(drained?.cpuUs ?? {}).join("+")})`;
}

async function allSent(ledger: Ledger): Promise<void> {
  const unsent = `select exists (select from ${ledger.table("jobs")} where queue = 'direct' and sent_at is null) as open`;
  while ((await ledger.query(unsent, [])).rows[0]?.["open"] !== false) await sleep(50);
}

/** Ready jobs, written in one statement as the ledger would write them; `above` lifts their priority over the backlog's. */
async function load(ledger: Ledger, queue: QueueName, count: number, from: number, above = 0): Promise<void> {
  await ledger.query(
    `insert into ${ledger.table("jobs")} (id, run_at, send_after, max_attempts, max_stalls, version, priority, state, queue, name,
       correlation_id, limit_key, gate, payload)
     select uuidv7(), now(), now(), 5, 3, 1, n % 10 + $5::int, 'ready', $1, 'bench.' || $1, 'bench', 'k' || (n::bigint * 7919 % $4::int),
       case $1 when 'direct' then 0 else 1 end, jsonb_build_object('number', n + $3::int, 'filler', repeat('x', ${bytes - 60}))
     from generate_series(1, $2::int) as n`,
    [queue, count, from, keys, above],
  );
}
