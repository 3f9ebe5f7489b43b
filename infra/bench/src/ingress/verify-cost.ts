import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";

const costs = z.record(z.string(), z.object({ medianUs: z.number(), leastUs: z.number() }));

/** What a verdict costs, a provider: a process of its own, in the room whose verifiers these are. */
export async function measureVerifyCost(seconds: number): Promise<z.infer<typeof costs>> {
  const entry = fileURLToPath(new URL("../../../../services/ingress/test/bench/verify-cost.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [entry, String(seconds)]);
  return costs.parse(JSON.parse(stdout));
}
