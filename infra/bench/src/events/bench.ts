import { migrate } from "@warren/ledger";
import { createLogger } from "@warren/observability";
import type { BenchOptions } from "../main.ts";
import { keepResult } from "../results.ts";
import { Role } from "../role.ts";
import { startServers } from "../servers.ts";
import { median, percentile, spread } from "../statistics.ts";

const bytes = 512;
const window = 1_000;
const aims = { ratio: 0.7 } as const;

interface Flow {
  readonly perSecond: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly cpuUsPerEvent: { readonly publisher: number; readonly subscriber: number };
}

interface Receipt {
  readonly unique: number;
  readonly duplicates: number;
  readonly cpuMs: number;
  readonly delaysMs?: readonly number[];
}

/**
 * Events of 512 bytes end to end (published with confirms, validated, routed by the topic exchange, validated again, handled, acked), against
 * raw amqplib (published with confirms, consumed, acked in multiples), each on a quorum queue of the same broker, in the same run. Metrics on,
 * success not logged. The two take turns within a run, in changing order.
 */
export async function run(options: BenchOptions): Promise<void> {
  const count = options.count ?? 40_000;
  await using servers = await startServers();
  await migrate({ connectionString: servers.databaseUrl, log: createLogger({ service: "bench", level: "warn" }) });
  const env = { BENCH_AMQP_URL: servers.amqpUrl, BENCH_DATABASE_URL: servers.databaseUrl };
  const role = (file: string, name: string): Role => new Role(new URL(file, import.meta.url), name, env);
  await using rawPublisher = role("../jobs/raw-role.ts", "raw publisher");
  await using rawConsumer = role("../jobs/raw-role.ts", "raw consumer");
  await using publisher = role("publish-role.ts", "publisher");
  await using subscriber = role("subscribe-role.ts", "subscriber");
  await subscriber.ask({ do: "start" });

  const raw = (): Promise<Flow> =>
    flow(
      count,
      rawPublisher.ask({ do: "publish", count, bytes, window }),
      rawConsumer.ask({ do: "consume", count, prefetch: window }),
    );
  const warren = async (): Promise<Flow> => {
    await subscriber.ask({ do: "reset" });
    return flow(count, publisher.ask({ do: "publish", count, bytes, window }), subscriber.ask({ do: "expect", count }));
  };
  const latency = async () => {
    await subscriber.ask({ do: "reset" });
    const events = 2_000;
    const sent = publisher.ask({ do: "paced", count: events, perSecond: 500, bytes });
    const { delaysMs = [], unique, duplicates } = await subscriber.ask<Receipt>({ do: "expect", count: events });
    await sent;
    return { p50Ms: percentile(delaysMs, 0.5), p99Ms: percentile(delaysMs, 0.99), lost: events - unique, duplicates };
  };

  console.log("warming up");
  await raw();
  await warren();

  const runs: Record<string, unknown>[] = [];
  const rates = { raw: [] as number[], warren: [] as number[] };
  const ratios: number[] = [];
  const latencies: Awaited<ReturnType<typeof latency>>[] = [];
  let lost = 0;
  let duplicates = 0;
  for (let number = 1; number <= options.runs; number++) {
    const flows: Partial<Record<"raw" | "warren", Flow>> = {};
    // whoever goes second may find a warmer or a busier broker
    for (const name of number % 2 === 1 ? (["raw", "warren"] as const) : (["warren", "raw"] as const)) {
      const one = await (name === "raw" ? raw() : warren());
      flows[name] = one;
      rates[name].push(one.perSecond);
      lost += one.lost;
      duplicates += one.duplicates;
    }
    ratios.push((flows.warren?.perSecond ?? 0) / (flows.raw?.perSecond ?? 1));
    const latencyNow = await latency();
    lost += latencyNow.lost;
    duplicates += latencyNow.duplicates;
    latencies.push(latencyNow);
    runs.push({ run: number, ...flows, latencyAt500PerSecond: latencyNow });
    console.log(
      `run ${number}: raw ${flows.raw?.perSecond}/s, events ${flows.warren?.perSecond}/s`,
      JSON.stringify(latencyNow),
    );
  }

  await keepResult({
    bench: "events",
    settings: { count, bytes, window, concurrency: 200, prefetch: 1_000, aims, ...servers.versions },
    runs,
    summary: {
      rawPerSecond: spread(rates.raw).median,
      eventsPerSecond: spread(rates.warren).median,
      ratioToRaw: round(median(ratios)),
      latencyAt500PerSecond: {
        p50Ms: round(median(latencies.map(({ p50Ms }) => p50Ms))),
        p99Ms: round(median(latencies.map(({ p99Ms }) => p99Ms))),
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
    cpuUsPerEvent: {
      publisher: round((sent.cpuMs * 1000) / count),
      subscriber: round((received.cpuMs * 1000) / count),
    },
  };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
