import { randomInt } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { z } from "zod";
import { runApi } from "./api-run.ts";
import { run } from "./run.ts";

/** `npm run fuzz -- --minutes 10 --seed 7`: hostile input for a while. Exits 1 when a promise was broken. */
const usage = `usage: npm run fuzz -- [--minutes 10] [--seed N] [--port api] [--from N --count N]
  --minutes  how long, 0.1 to 600
  --seed     whole number: the same seed is the same inputs; default: a new one, printed first
  --port     webhooks (default), or api: the management API
  --from     only so many inputs, from this number on: to see again what a finding names
  --count    how many then; default 1`;

const settings = z.object({
  minutes: z.coerce.number().min(0.1).max(600).default(10),
  seed: z.coerce
    .number()
    .int()
    .min(0)
    .max(4_294_967_295)
    .default(() => randomInt(1, 1_000_000)),
  port: z.enum(["webhooks", "api"]).default("webhooks"),
  from: z.coerce.number().int().min(0).optional(),
  count: z.coerce.number().int().min(1).default(1),
});

const text = { type: "string" } as const;
const parsed = settings.safeParse(parse());
if (!parsed.success) {
  const issue = parsed.error.issues[0];
  console.error(`--${issue?.path.join(".") ?? ""}: ${issue?.message ?? "invalid"}\n\n${usage}`);
  process.exit(2);
}
const { minutes, seed, port, from, count } = parsed.data;
console.log(`seed ${seed}: npm run fuzz -- --port ${port} --minutes ${minutes} --seed ${seed}`);
const startedAt = performance.now();
const result = await { webhooks: run, api: runApi }[port]({
  seed,
  forMs: minutes * 60_000,
  only: from === undefined ? undefined : { from, count },
  tell: (line) => console.log(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  ${line}`),
});

const { findings, memory, ...rest } = result;
const byRule = Map.groupBy(findings, ({ rule }) => rule);
// the first of each say enough
const shown = [...byRule.values()].flatMap((own) => own.slice(0, 10));
const violations = Object.fromEntries([...byRule].map(([rule, own]) => [rule, own.length]));
const held = findings.length === 0;
if (from === undefined) {
  const folder = fileURLToPath(new URL("results/", import.meta.url));
  await mkdir(folder, { recursive: true });
  const report = {
    at: new Date().toISOString(),
    port,
    seed,
    minutes,
    held,
    violations,
    findings: shown,
    ...rest,
    memory,
  };
  await writeFile(`${folder}${port === "api" ? "api-" : ""}seed-${seed}.json`, `${JSON.stringify(report, null, 2)}\n`);
}
console.log(JSON.stringify(rest, null, 2));
for (const { rule, what } of shown) console.log(`broken: ${rule}: ${what}`);
console.log(held ? `held: ${result.inputs} inputs, nothing broken` : `NOT held: ${JSON.stringify(violations)}`);
process.exitCode = held ? 0 : 1;

function parse(): unknown {
  try {
    const options = { minutes: text, seed: text, port: text, from: text, count: text };
    return parseArgs({ args: process.argv.slice(2), options }).values;
  } catch (error) {
    return { minutes: error instanceof Error ? error.message : String(error) };
  }
}
