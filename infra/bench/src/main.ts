import { parseArgs } from "node:util";

/**
 * `npm run bench -- NAME [--runs 5] [--count N]`: each benchmark measures its limit and Warren in the same run, counts only completed and
 * verified work, reports losses and duplicates, and keeps its figures in `infra/bench/results/`.
 */
const benches: Readonly<Record<string, () => Promise<{ run(options: BenchOptions): Promise<void> }>>> = {
  ingress: () => import("./ingress/bench.ts"),
  jobs: () => import("./jobs/bench.ts"),
  events: () => import("./events/bench.ts"),
  boot: () => import("./boot/bench.ts"),
  peers: () => import("./peers/bench.ts"),
  limits: () => import("./limits/bench.ts"),
  fanout: () => import("./fanout/bench.ts"),
};

export interface BenchOptions {
  /** How often everything is measured; the summary holds medians. Default 5. */
  readonly runs: number;
  /** Scales the work of one run; each bench has a default of its own. */
  readonly count: number | undefined;
  /** Of `peers`: measure these systems only. */
  readonly only: readonly string[] | undefined;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "5" }, count: { type: "string" }, only: { type: "string" } },
});
const load = benches[positionals[0] ?? ""];
const runs = Number(values.runs);
const count = values.count === undefined ? undefined : Number(values.count);
if (load === undefined || !(runs >= 1) || (count !== undefined && !(count >= 1))) {
  console.error(`usage: npm run bench -- ${Object.keys(benches).join("|")} [--runs 5] [--count N]`);
  process.exitCode = 2;
} else {
  await (await load()).run({ runs, count, only: values.only?.split(",") });
}
