import type { BenchOptions } from "../main.ts";
import { keepResult } from "../results.ts";
import { measureDuplicates, measureLevels, measureSizes, measureSlow } from "./against-naive.ts";
import { measureThroughput, throughputLoad } from "./throughput.ts";
import { measureVerifyCost } from "./verify-cost.ts";
import { openBenchWorld } from "./world.ts";

const aims = { ratio: 0.45, p99Ms: 25 } as const;
const parts = ["throughput", "verify", "levels", "sizes", "duplicates", "slow"] as const;
const burstSize = 50_000;
const slowConnections = 1_000;

/**
 * Webhooks that are proven and durably kept, measured in parts (`--only throughput,levels` runs some): `throughput` by wrk against bare
 * Fastify and against the least code that keeps them, `verify` the cost of a verdict a provider; and, by a client that counts waiting,
 * against bare Fastify and the route that most teams write: `levels` (peak, and latencies at shares of it), `sizes` of bodies, a burst of
 * `duplicates`, `slow` connections. `--count` is the seconds of a load; below 4 it is a try, and bursts are small.
 */
export async function run(options: BenchOptions): Promise<void> {
  const seconds = options.count ?? 8;
  const isTry = seconds < 4;
  const wanted = options.only ?? parts;
  const unknown = wanted.filter((part) => !parts.some((known) => known === part));
  if (unknown.length > 0) throw new Error(`--only ${unknown.join(",")}: the parts are ${parts.join(", ")}`);
  const verify = wanted.includes("verify") ? await told("verify", measureVerifyCost(isTry ? 0.05 : 1)) : undefined;
  await using world = await openBenchWorld();
  if (world.missing["naive"] !== undefined) console.log(`without the naive route: ${world.missing["naive"]}`);

  const measure = async <T>(part: (typeof parts)[number], work: () => Promise<T>): Promise<T | undefined> => {
    if (!wanted.includes(part)) return undefined;
    console.log(`\n${part}`);
    return work();
  };
  // first, while the processes are young: later their memory moves with what loads left behind
  const slow = await measure("slow", () => measureSlow(world, slowConnections, { seconds }));
  const throughput = await measure("throughput", () => measureThroughput(world, options.runs, seconds));
  const levels = await measure("levels", () => measureLevels(world, { seconds }));
  const sizes = await measure("sizes", () => measureSizes(world, { seconds }));
  const burst = isTry ? burstSize / 25 : burstSize;
  const duplicated = await measure("duplicates", () => measureDuplicates(world, burst));
  await keepResult({
    // a try or a part must not take the place of the whole
    bench: isTry || options.only !== undefined ? "ingress-part" : "ingress",
    settings: {
      ...throughputLoad,
      secret: "(fixed)",
      seconds,
      parts: wanted,
      burst,
      slowConnections,
      aims,
      missing: world.missing,
      ...world.versions,
    },
    runs: throughput?.runs ?? [],
    summary: { ...throughput?.summary, verifyUs: verify, levels, sizes, burstOfDuplicates: duplicated, slow },
  });
}

async function told<T>(part: string, work: Promise<T>): Promise<T> {
  console.log(`\n${part}`);
  const result = await work;
  console.log(JSON.stringify(result));
  return result;
}
