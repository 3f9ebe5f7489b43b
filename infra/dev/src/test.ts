import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WarrenError } from "@warren/contracts";
import { chooseSubstrate, findRabbit, type Substrate } from "@warren/testing";
import { installPackages } from "./debian-packages.ts";
import { openEngine } from "./test-engine.ts";
import { runGate, runVitest, type Stage, type StageResult } from "./test-stages.ts";

/** Ctrl-C and SIGTERM stop the tool that runs and then what was started for it, in that order. */
const stopped = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stopped.abort());

/** What `npm test` runs, in this order. Each is also a script of package.json; name some to run only those: `npm test -- lint unit`. */
const stages = {
  format: runGate("format:check"),
  lint: runGate("lint"),
  types: runGate("types"),
  deadcode: runGate("deadcode"),
  checks: runVitest("checks"),
  unit: runVitest("unit"),
  integration: runVitest("integration"),
  e2e: runVitest("e2e"),
} satisfies Record<string, Stage>;

type StageName = keyof typeof stages;

const needServers: readonly StageName[] = ["integration", "e2e"];
const say = (sentence: string): void => console.log(`\n▶ ${sentence}`);

async function main(args: readonly string[]): Promise<number> {
  const names = Object.keys(stages) as StageName[];
  const unknown = args.filter((arg) => !(names as string[]).includes(arg));
  if (unknown.length > 0) {
    console.error(`npm test does not know "${unknown.join(" ")}"; its stages are ${names.join(", ")}`);
    return 2;
  }
  const wanted = names.filter((name) => args.length === 0 || args.includes(name));
  const folder = await mkdtemp(join(tmpdir(), "warren-test-"));
  const results: StageResult[] = [];
  const { signal } = stopped;
  const run = async (
    name: StageName,
    label: string,
    given: NodeJS.ProcessEnv,
    rooms: readonly string[] = [],
  ): Promise<void> => {
    say(label);
    // hundreds of processes load the same sources: kept, that takes a third of the time
    const env = { ...given, NODE_COMPILE_CACHE: join(folder, "compile-cache") };
    const result = await stages[name]({ label, folder, env, signal, rooms });
    console.log(`${result.failed === 0 ? "✓" : "✗"} ${label}: ${summary(result)} in ${seconds(result.elapsedMs)}`);
    results.push(result);
  };
  try {
    for (const name of wanted) {
      if (!needServers.includes(name)) await run(name, name, process.env);
    }
    const served = wanted.filter((name) => needServers.includes(name));
    for (const [index, substrate] of (served.length === 0 ? [] : await substrates()).entries()) {
      // The e2e tests kill and freeze servers for minutes; where both kinds run, once is enough.
      const names = served.filter((name) => index === 0 || name !== "e2e");
      if (names.length === 0) continue;
      await withSubstrate(substrate, folder, async (env) => {
        const rooms = index === 0 ? [] : roomsOfServers;
        for (const name of names) await run(name, `${name} on ${described[substrate]}`, env, rooms);
      });
    }
  } catch (error) {
    if (signal.aborted) console.error("\nstopped");
    else if (!(error instanceof WarrenError)) throw error;
    else console.error(`\n✗ ${error.message}`);
    results.push({ label: "set-up", passed: 0, failed: 1, failures: ["the set-up, see above"], elapsedMs: 0 });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return report(results);
}

/** Where both kinds of servers run, these rooms run on both: they are what meets another version of the broker or the database first. */
const roomsOfServers = ["shared/amqp", "shared/ledger", "shared/testing"];

const described: Record<Substrate, string> = {
  local: "a local broker and database",
  docker: "containers (testcontainers)",
};

/** In CI both; else what this machine has, or what WARREN_TEST_SUBSTRATE says. */
async function substrates(): Promise<readonly Substrate[]> {
  if (process.env["CI"] === "true" && !process.env["WARREN_TEST_SUBSTRATE"]) return ["local", "docker"];
  return [await chooseSubstrate({ ...process.env })];
}

/** Sees to the broker, the engine and the images that the tests need, runs them, and stops what it started. */
async function withSubstrate(
  substrate: Substrate,
  folder: string,
  run: (env: NodeJS.ProcessEnv) => Promise<void>,
): Promise<void> {
  const env: NodeJS.ProcessEnv = { ...process.env, WARREN_TEST_SUBSTRATE: substrate };
  if (substrate === "local") {
    if (findRabbit() === undefined) {
      await installPackages(["rabbitmq-server"], {
        say,
        otherwise:
          "the integration tests need RabbitMQ: start a Docker engine, or install it (Debian, Ubuntu: apt-get install rabbitmq-server; macOS: brew install rabbitmq)",
      });
    }
    await run(env);
    return;
  }
  await using engine = await openEngine({ folder, say });
  await run({ ...env, ...engine.env });
}

function summary({ passed, failed }: StageResult): string {
  return failed === 0 ? `${passed} passed` : `${passed} passed, ${failed} failed`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** The last line is read by machines: it is exactly `N passed, N failed`. */
function report(results: readonly StageResult[]): number {
  const total = { passed: 0, failed: 0, elapsedMs: 0 };
  console.log("");
  for (const result of results) {
    console.log(
      `${result.failed === 0 ? "✓" : "✗"} ${result.label.padEnd(48)} ${seconds(result.elapsedMs).padStart(8)}   ${summary(result)}`,
    );
    total.passed += result.passed;
    total.failed += result.failed;
    total.elapsedMs += result.elapsedMs;
  }
  console.log(`  ${"together".padEnd(48)} ${seconds(total.elapsedMs).padStart(8)}`);
  for (const { label, failures } of results)
    for (const failure of failures) console.log(`\n✗ ${label}\n    ${failure}`);
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
