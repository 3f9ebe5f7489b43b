import { migrate } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { spawnService } from "@warren/testing";
import type { BenchOptions } from "../main.ts";
import { keepResult } from "../results.ts";
import { Role } from "../role.ts";
import { startServers } from "../servers.ts";
import { median, percentile } from "../statistics.ts";
import { installPeers } from "./install.ts";
import { startRedis } from "./redis.ts";
import { formatTable } from "./table.ts";

/** A system in two processes: one adds, one works. */
interface System {
  readonly name: string;
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
  /** The peer is not run where one of these could not be had. */
  readonly needs?: string;
}

interface Receipt {
  readonly seconds: number;
  readonly unique: number;
  readonly duplicates: number;
  readonly startMs: readonly number[];
}

/** Rates of one run, jobs per second; `lost` and `duplicates` over all its shapes. */
export interface Measured {
  readonly rates: Record<string, number>;
  lost: number;
  duplicates: number;
}

const openLoopShares = [0.25, 0.5, 0.75, 0.9] as const;
const openLoopSeconds = 10;

/**
 * The five shapes in which job systems are compared, for Warren and its peers one after the other in each run, on one machine: every job
 * is counted when it is durably done, and each number must have been handled once. Warm-up is neither counted nor timed.
 */
export async function run(options: BenchOptions): Promise<void> {
  const scale = (options.count ?? 10_000) / 10_000;
  const peers = await installPeers();
  await using servers = await startServers();
  await using everysec = await startRedis("everysec");
  await using always = await startRedis("always");
  await migrate({ connectionString: servers.databaseUrl, log: createLogger({ service: "bench", level: "warn" }) });
  await using closing = new AsyncDisposableStack();
  closing.use(
    await spawnService({
      entry: "services/dispatcher/src/main.ts",
      env: { DATABASE_URL: servers.databaseUrl, AMQP_URL: servers.amqpUrl, LOG_LEVEL: "warn" },
    }),
  );
  const systems: readonly System[] = [
    { name: "warren", file: "warren-role.ts", env: {} },
    {
      name: "bullmq redis everysec",
      file: "bullmq-role.ts",
      env: { BENCH_REDIS_PORT: String(everysec.port) },
      needs: "redis",
    },
    {
      name: "bullmq redis always",
      file: "bullmq-role.ts",
      env: { BENCH_REDIS_PORT: String(always.port) },
      needs: "redis",
    },
    { name: "bullmq postgres", file: "bullmq-role.ts", env: { BENCH_BACKEND: "postgres" } },
    { name: "pg-boss", file: "pg-boss-role.ts", env: {} },
    { name: "graphile", file: "graphile-role.ts", env: {} },
    { name: "graphile batched", file: "graphile-role.ts", env: { BENCH_BATCHED: "1" } },
    { name: "celery", file: "celery-role.ts", env: {}, needs: "celery" },
  ];
  const present = systems.filter(
    ({ name, needs }) =>
      (needs === undefined || peers.missing[needs] === undefined) && options.only?.includes(name) !== false,
  );
  const env = { BENCH_AMQP_URL: servers.amqpUrl, BENCH_DATABASE_URL: servers.databaseUrl, BENCH_PEERS: peers.folder };

  const runs: Record<string, unknown>[] = [];
  const measured = new Map<string, Measured[]>(present.map(({ name }) => [name, []]));
  for (let number = 0; number <= options.runs; number++) {
    for (const system of present) {
      await using pair = await startPair(system, env);
      const one = await measureShapes(pair, number === 0 ? scale / 10 : scale);
      console.log(number === 0 ? "warm-up" : `run ${number}`, system.name, JSON.stringify(one));
      if (number === 0) continue;
      measured.get(system.name)?.push(one);
      runs.push({ run: number, system: system.name, ...one });
    }
  }

  const latency: Record<string, unknown> = {};
  for (const system of present) {
    const peak = median((measured.get(system.name) ?? []).map(({ rates }) => peakOf(rates)));
    await using pair = await startPair(system, env);
    latency[system.name] = await measureOpenLoop(pair, peak).catch((error: unknown) => ({
      failed: error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error),
    }));
    console.log("open loop", system.name, JSON.stringify(latency[system.name]));
  }

  const rates = Object.fromEntries([...measured].map(([name, all]) => [name, medians(all)]));
  console.log(formatTable(rates));
  await keepResult({
    bench: "peers",
    settings: { scale, openLoopSeconds, ...servers.versions, ...peers.versions, missing: peers.missing },
    runs,
    summary: {
      rates,
      ratioToBestPeer: ratiosToBest(rates),
      openLoop: latency,
      lost: sum(measured, "lost"),
      duplicates: sum(measured, "duplicates"),
    },
  });
}

class Pair implements AsyncDisposable {
  readonly adder: Role;
  readonly worker: Role;
  #next = 0;

  constructor(adder: Role, worker: Role) {
    this.adder = adder;
    this.worker = worker;
  }

  /** Numbers of a system's jobs are never used twice in a process. */
  numbers(count: number): number {
    const from = this.#next;
    this.#next += count;
    return from;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.adder[Symbol.asyncDispose](), this.worker[Symbol.asyncDispose]()]);
  }
}

async function startPair(system: System, env: Readonly<Record<string, string>>): Promise<Pair> {
  const role = (what: string): Role =>
    new Role(new URL(`systems/${system.file}`, import.meta.url), `${system.name} ${what}`, { ...env, ...system.env });
  const pair = new Pair(role("adder"), role("worker"));
  // one after the other: a system may set up its schema
  await pair.adder.ask({ do: "open" });
  await pair.worker.ask({ do: "open" });
  return pair;
}

async function measureShapes(pair: Pair, scale: number): Promise<Measured> {
  const measured: Measured = { rates: {}, lost: 0, duplicates: 0 };
  const adds = [
    { name: "add one by one", count: 500, bytes: 100, lanes: 1, size: 1 },
    { name: "add 50 in parallel", count: 4_000, bytes: 100, lanes: 50, size: 1 },
    { name: "add in bulk of 50", count: 5_000, bytes: 100, lanes: 2, size: 50 },
    { name: "add in bulk of 1,000", count: 10_000, bytes: 100, lanes: 2, size: 1_000 },
  ];
  let waiting = 0;
  const add = async ({ name, count, ...how }: (typeof adds)[number]): Promise<void> => {
    const jobs = scaled(count, scale);
    const { seconds } = await pair.adder.ask<{ seconds: number }>({
      do: "add",
      ...how,
      count: jobs,
      from: pair.numbers(jobs),
    });
    waiting += jobs;
    if (name !== "") measured.rates[name] = Math.round(jobs / seconds);
  };
  const drain = async (name: string, concurrency: number): Promise<void> => {
    await pair.adder.ask({ do: "added" });
    await pair.worker.ask({ do: "work", concurrency });
    count(name, waiting, await pair.worker.ask<Receipt>({ do: "expect", count: waiting }));
    await pair.worker.ask({ do: "stop" });
    waiting = 0;
  };
  const count = (name: string, jobs: number, receipt: Receipt, seconds = receipt.seconds): void => {
    measured.rates[name] = Math.round(jobs / seconds);
    measured.lost += jobs - receipt.unique;
    measured.duplicates += receipt.duplicates;
  };

  for (const one of adds) await add(one);
  await drain("drain, concurrency 100", 100);
  await add({ name: "", count: 2_000, bytes: 100, lanes: 2, size: 1_000 });
  await drain("drain, concurrency 10", 10);
  await add({ name: "", count: 600, bytes: 100, lanes: 1, size: 1_000 });
  await drain("drain, concurrency 1", 1);
  await add({ name: "add 10 KB in bulk of 50", count: 2_000, bytes: 10_000, lanes: 2, size: 50 });
  await drain("drain 10 KB, concurrency 100", 100);

  await pair.worker.ask({ do: "work", concurrency: 100 });
  for (const [name, bytes] of [
    ["end to end", 512],
    ["end to end, 10 KB", 10_000],
  ] as const) {
    const jobs = scaled(bytes > 1_000 ? 2_000 : 10_000, scale);
    const startedAt = performance.now();
    const [receipt] = await Promise.all([
      pair.worker.ask<Receipt>({ do: "expect", count: jobs }),
      pair.adder.ask({ do: "add", bytes, lanes: 2, size: 500, count: jobs, from: pair.numbers(jobs) }),
    ]);
    count(name, jobs, receipt, (performance.now() - startedAt) / 1_000);
  }
  await pair.worker.ask({ do: "stop" });
  return measured;
}

/** What it does from one end to the other when jobs come one by one. */
function peakOf(rates: Readonly<Record<string, number>>): number {
  return Math.min(rates["end to end"] ?? 0, rates["add 50 in parallel"] ?? 0);
}

/** Enqueue → start at shares of the peak, jobs leaving one by one on schedule. */
async function measureOpenLoop(pair: Pair, peak: number): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  await pair.worker.ask({ do: "work", concurrency: 100 });
  for (const share of openLoopShares) {
    const perSecond = Math.max(1, Math.round(peak * share));
    const jobs = perSecond * openLoopSeconds;
    const [receipt, paced] = await Promise.all([
      pair.worker.ask<Receipt>({ do: "expect", count: jobs }),
      pair.adder.ask<{ seconds: number }>({ do: "pace", count: jobs, perSecond, bytes: 100, from: pair.numbers(jobs) }),
    ]);
    const [p50Ms, p99Ms, p999Ms] = [0.5, 0.99, 0.999].map(
      (at) => Math.round(percentile(receipt.startMs, at) * 10) / 10,
    );
    const sentPerSecond = Math.round(jobs / paced.seconds);
    found[`${share * 100} %`] = { perSecond, sentPerSecond, p50Ms, p99Ms, p999Ms, lost: jobs - receipt.unique };
  }
  await pair.worker.ask({ do: "stop" });
  return found;
}

const scaled = (count: number, scale: number): number => Math.max(50, Math.round(count * scale));

function medians(all: readonly Measured[]): Record<string, number> {
  const shapes = Object.keys(all[0]?.rates ?? {});
  return Object.fromEntries(shapes.map((shape) => [shape, median(all.map(({ rates }) => rates[shape] ?? 0))]));
}

/** Warren's rate over the best peer's, a shape; below 1 the peer wins. */
function ratiosToBest(rates: Readonly<Record<string, Readonly<Record<string, number>>>>): Record<string, object> {
  const { warren = {}, ...others } = rates;
  return Object.fromEntries(
    Object.entries(warren).map(([shape, own]) => {
      const [bestPeer, best] = Object.entries(others)
        .map(([name, theirs]) => [name, theirs[shape] ?? 0] as const)
        .reduce((a, b) => (b[1] > a[1] ? b : a), ["none", 0] as const);
      return [shape, { ratio: best === 0 ? null : Math.round((own / best) * 100) / 100, bestPeer }];
    }),
  );
}

function sum(measured: ReadonlyMap<string, readonly Measured[]>, what: "lost" | "duplicates"): Record<string, number> {
  return Object.fromEntries(
    [...measured].map(([name, all]) => [name, all.reduce((total, one) => total + one[what], 0)]),
  );
}
