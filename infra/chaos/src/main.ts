import { randomInt } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseCommand, usage } from "./command.ts";
import { planFaults } from "./faults.ts";
import { perSecond, recoveriesOf, worstRecoveries } from "./recovery.ts";
import { run } from "./run.ts";

/** `npm run chaos -- --minutes 5 --seed 7`: breaks everything for a while, and then counts. Exits 1 when a promise was broken. */
const command = parseCommand(process.argv.slice(2), () => randomInt(1, 1_000_000));
if (command.kind === "wrong") {
  console.error(`${command.why}\n\n${usage}`);
  process.exit(2);
}
const { seed, minutes, rate, keep } = command;
const forMs = minutes * 60_000;
const plan = command.faults === "none" ? [] : planFaults(seed, forMs);
console.log(`seed ${seed}: npm run chaos -- ${command.text}`);
for (const { number, atMs, kind, slot, action, lastsMs } of plan) {
  console.log(`  fault ${number}: at ${atMs} ms ${kind} ${slot} ${action}, for ${lastsMs} ms`);
}

const startedAt = performance.now();
const repository = fileURLToPath(new URL("../../../", import.meta.url));
const name = command.faults === "none" ? `control-${seed}` : `seed-${seed}`;
const result = await run({
  seed,
  forMs,
  rate,
  faults: plan,
  settleMs: command.settleSeconds * 1_000,
  keepIn: keep ? join(repository, ".warren", "chaos", name) : undefined,
  tell: (text) => console.log(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  ${text}`),
});

const { findings, attempts, counts, faults, loadBeganMs, ...rest } = result;
const recoveries = recoveriesOf(faults, attempts);
// the first of each say enough; --keep has all
const shown = [...Map.groupBy(findings, ({ rule }) => rule).values()].flatMap((own) => own.slice(0, 10));
const violations = Object.fromEntries(
  [...Map.groupBy(findings, ({ rule }) => rule)].map(([rule, own]) => [rule, own.length]),
);
const held = findings.length === 0 && rest.settledMs !== undefined;
const suspended = new Set(faults.filter(({ action }) => action === "pause").map(({ pid }) => pid));
const overruns = attempts.filter(({ ending, pid }) => ending === "overrun" && !suspended.has(pid));
const report = {
  at: new Date().toISOString(),
  seed,
  command: command.text,
  minutes,
  rate,
  held,
  violations,
  findings: shown,
  counts: { ...counts, overrunOfWorkersNeverSuspended: overruns.length },
  worstRecoveryMs: worstRecoveries(recoveries),
  ...rest,
  plan,
  // seconds of the load
  inflicted: faults.map(({ number, beganMs, overMs }, index) => ({
    number,
    from: Math.round(beganMs - loadBeganMs) / 1_000,
    to: Math.round(overMs - loadBeganMs) / 1_000,
    ...recoveries[index],
  })),
  startsPerSecond: perSecond(attempts.map(({ startMs }) => startMs - loadBeganMs)),
};
const folder = fileURLToPath(new URL("../results/", import.meta.url));
await mkdir(folder, { recursive: true });
await writeFile(join(folder, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`);
console.log(
  JSON.stringify(
    { counts: report.counts, worstRecoveryMs: report.worstRecoveryMs, failedCalls: rest.failedCalls },
    null,
    2,
  ),
);
for (const { rule, what } of shown) console.log(`broken: ${rule}: ${what}`);
console.log(
  held
    ? `held: ${counts["acknowledged"]} promises, ${faults.length} faults, nothing broken (kept in infra/chaos/results/${name}.json)`
    : `NOT held: ${JSON.stringify(violations)}${rest.settledMs === undefined ? ", and it never came to rest" : ""} (infra/chaos/results/${name}.json)`,
);
process.exitCode = held ? 0 : 1;
