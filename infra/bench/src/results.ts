import { mkdir, writeFile } from "node:fs/promises";
import { describeMachine } from "./machine.ts";

export interface BenchResult {
  readonly bench: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** Every run kept whole; the summary is made of their medians. */
  readonly runs: readonly Readonly<Record<string, unknown>>[];
  readonly summary: Readonly<Record<string, unknown>>;
}

/** Writes `infra/bench/results/<bench>.json`, with the machine and the moment. */
export async function keepResult(result: BenchResult): Promise<void> {
  const folder = new URL("../results/", import.meta.url);
  await mkdir(folder, { recursive: true });
  const text = JSON.stringify({ at: new Date().toISOString(), machine: describeMachine(), ...result }, null, 2);
  await writeFile(new URL(`${result.bench}.json`, folder), `${text}\n`);
  console.log(`\n${result.bench}, summary (kept in infra/bench/results/${result.bench}.json)`);
  console.log(JSON.stringify(result.summary, null, 2));
}
