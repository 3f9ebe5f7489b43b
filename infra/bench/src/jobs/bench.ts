import { migrate } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import { spawnService } from "@warren/testing";
import { Pool } from "pg";
import type { BenchOptions } from "../main.ts";
import { keepResult } from "../results.ts";
import { Role } from "../role.ts";
import { startServers } from "../servers.ts";
import { median, percentile, spread } from "../statistics.ts";
import { seedLedger } from "./seed.ts";

const bytes = 512;
const aims = { alone: 0.45, bundled: 0.8, startP50Ms: 3, startP99Ms: 12, loaded: 0.85 } as const;

interface Flow {
  readonly perSecond: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly cpuUsPerJob: { readonly sender: number; readonly receiver: number };
}

interface Receipt {
  readonly unique: number;
  readonly duplicates: number;
  readonly cpuMs: number;
  readonly startMs?: readonly number[];
}

/**
 * No-op jobs of 512 bytes end to end (enqueued, claimed, run, settled in history) against raw amqplib (published with confirms,
 * consumed, acked in multiples) on a quorum queue of the same broker, in the same run.
 */
export async function run(options: BenchOptions): Promise<void> {
  const count = options.count ?? 20_000;
  await using servers = await startServers();
  await using pool = disposable(new Pool({ connectionString: servers.databaseUrl }));
  await migrate({ connectionString: servers.databaseUrl, log: createLogger({ service: "bench", level: "warn" }) });
  const env = { BENCH_AMQP_URL: servers.amqpUrl, BENCH_DATABASE_URL: servers.databaseUrl };
  const role = (file: string, name: string): Role => new Role(new URL(file, import.meta.url), name, env);
  await using publisher = role("raw-role.ts", "raw publisher");
  await using consumer = role("raw-role.ts", "raw consumer");
  await using enqueuer = role("enqueue-role.ts", "enqueuer");
  await using worker = role("worker-role.ts", "worker");
  // part of every platform: it sends what an enqueuer that is faster than the broker leaves unsent
  await using closing = new AsyncDisposableStack();
  const dispatcher = await spawnService({
    entry: "services/dispatcher/src/main.ts",
    env: { DATABASE_URL: servers.databaseUrl, AMQP_URL: servers.amqpUrl, LOG_LEVEL: "warn" },
  });
  closing.use(dispatcher);
  await worker.ask({ do: "start" });
  await enqueuer.ask({ do: "open" });

  const raw = (): Promise<Flow> =>
    flow(
      count,
      publisher.ask({ do: "publish", count, bytes, window: 1000 }),
      consumer.ask({ do: "consume", count, prefetch: 1000 }),
    );
  const warren = async (command: Readonly<Record<string, unknown>>): Promise<Flow> => {
    await worker.ask({ do: "reset" });
    return flow(count, enqueuer.ask({ count, bytes, ...command }), worker.ask({ do: "expect", count }));
  };
  const shapes = {
    alone: { do: "bulk", chunk: 500, bundles: false },
    bundled: { do: "bulk", chunk: 500, bundles: true },
    oneByOne: { do: "single", parallel: 100 },
  } as const;
  const latency = async () => {
    await worker.ask({ do: "reset" });
    const jobs = 2_000;
    const sent = enqueuer.ask<{ enqueueMs: number[] }>({ do: "paced", count: jobs, perSecond: 200, bytes });
    const { startMs = [], unique, duplicates } = await worker.ask<Receipt>({ do: "expect", count: jobs });
    const { enqueueMs } = await sent;
    return {
      enqueueP50Ms: percentile(enqueueMs, 0.5),
      startP50Ms: percentile(startMs, 0.5),
      startP99Ms: percentile(startMs, 0.99),
      lost: jobs - unique,
      duplicates,
    };
  };

  console.log("warming up");
  await raw();
  for (const command of Object.values(shapes)) await warren(command);

  const runs: Record<string, unknown>[] = [];
  const rates = { raw: [], alone: [], bundled: [], oneByOne: [] } as Record<"raw" | keyof typeof shapes, number[]>;
  const ratios = { alone: [], bundled: [], oneByOne: [] } as Record<keyof typeof shapes, number[]>;
  const latencies: Awaited<ReturnType<typeof latency>>[] = [];
  let lost = 0;
  let duplicates = 0;
  const measure = async (number: number, loaded: boolean): Promise<Record<string, Flow>> => {
    const flows: Record<string, Flow> = { raw: await raw() };
    for (const [name, command] of Object.entries(shapes)) flows[name] = await warren(command);
    for (const one of Object.values(flows)) {
      lost += one.lost;
      duplicates += one.duplicates;
    }
    const latencyNow = await latency();
    lost += latencyNow.lost;
    duplicates += latencyNow.duplicates;
    runs.push({ run: number, loaded, ...flows, latencyAt200PerSecond: latencyNow });
    console.log(`run ${number}${loaded ? " (loaded ledger)" : ""}:`, text(flows), JSON.stringify(latencyNow));
    if (!loaded) latencies.push(latencyNow);
    return flows;
  };
  for (let number = 1; number <= options.runs; number++) {
    const flows = await measure(number, false);
    for (const name of ["raw", "alone", "bundled", "oneByOne"] as const) rates[name].push(flows[name]?.perSecond ?? 0);
    for (const name of ["alone", "bundled", "oneByOne"] as const) {
      ratios[name].push((flows[name]?.perSecond ?? 0) / (flows["raw"]?.perSecond ?? 1));
    }
  }

  console.log("seeding one million finished and 100,000 waiting jobs");
  await seedLedger(pool, { finished: 1_000_000, waiting: 100_000 });
  const loadedRates = { alone: [] as number[], bundled: [] as number[] };
  for (let number = 1; number <= options.runs; number++) {
    const flows = await measure(number, true);
    loadedRates.alone.push(flows["alone"]?.perSecond ?? 0);
    loadedRates.bundled.push(flows["bundled"]?.perSecond ?? 0);
  }

  await keepResult({
    bench: "jobs",
    settings: { count, bytes, concurrency: 100, prefetchRaw: 1000, windowRaw: 1000, aims, ...servers.versions },
    runs,
    summary: {
      rawPerSecond: spread(rates.raw).median,
      perSecond: mapValues(shapes, (name) => spread(rates[name]).median),
      ratioToRaw: mapValues(shapes, (name) => round(median(ratios[name]))),
      latencyAt200PerSecond: {
        startP50Ms: round(median(latencies.map((one) => one.startP50Ms))),
        startP99Ms: round(median(latencies.map((one) => one.startP99Ms))),
        enqueueP50Ms: round(median(latencies.map((one) => one.enqueueP50Ms))),
      },
      loadedLedgerShare: {
        alone: round(median(loadedRates.alone) / median(rates.alone)),
        bundled: round(median(loadedRates.bundled) / median(rates.bundled)),
      },
      lost,
      duplicates,
    },
  });
}

async function flow(count: number, sending: Promise<{ cpuMs: number }>, receiving: Promise<Receipt>): Promise<Flow> {
  const startedAt = performance.now();
  const [sent, received] = await Promise.all([sending, receiving]);
  const seconds = (performance.now() - startedAt) / 1000;
  return {
    perSecond: Math.round(count / seconds),
    lost: count - received.unique,
    duplicates: received.duplicates,
    cpuUsPerJob: { sender: round((sent.cpuMs * 1000) / count), receiver: round((received.cpuMs * 1000) / count) },
  };
}

function text(flows: Readonly<Record<string, Flow>>): string {
  return Object.entries(flows)
    .map(([name, { perSecond, lost, duplicates }]) => `${name} ${perSecond}/s (lost ${lost}, doubled ${duplicates})`)
    .join(", ");
}

function mapValues<K extends string>(of: Readonly<Record<K, unknown>>, value: (key: K) => number): Record<K, number> {
  return Object.fromEntries((Object.keys(of) as K[]).map((key) => [key, value(key)])) as Record<K, number>;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function disposable(pool: Pool): Pool & AsyncDisposable {
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.end() });
}
