import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export interface StageResult {
  readonly label: string;
  readonly passed: number;
  readonly failed: number;
  readonly elapsedMs: number;
  /** What failed, a line each: file, name and reason. */
  readonly failures: readonly string[];
}

interface StageContext {
  readonly label: string;
  /** Folder for files that the stage needs only while it runs. */
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** Only the tests of these rooms. Default: all. */
  readonly rooms?: readonly string[];
  /** Ends the stage's tool with SIGTERM, and rejects with an AbortError. */
  readonly signal: AbortSignal;
}

export type Stage = (context: StageContext) => Promise<StageResult>;

const repository = fileURLToPath(new URL("../../../", import.meta.url));

/** A gate that is a script of package.json, up to its first command that fails. It counts as one test; its output is shown when it fails. */
export function runGate(script: string): Stage {
  return async ({ label, env, signal }) => {
    const started = performance.now();
    let failed = 0;
    for (const command of await commandsOf(script)) {
      const { code, output } = await runTool(command, { env, signal, quiet: true });
      if (code === 0) continue;
      console.log(output.trimEnd());
      failed = 1;
      break;
    }
    const failures = failed === 0 ? [] : [`npm run ${script}`];
    return { label, passed: 1 - failed, failed, failures, elapsedMs: performance.now() - started };
  };
}

/** A run of one vitest project, through its script of package.json; of its files only those whose path begins with one of `rooms`, if any is given. */
export function runVitest(script: string): Stage {
  return async ({ label, folder, env, signal, rooms = [] }) => {
    const started = performance.now();
    const reportFile = join(folder, `${label.replaceAll(/\W+/g, "-")}.json`);
    const [command = []] = await commandsOf(script);
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
    const { code } = await runTool([...command, ...rooms, ...reporters], {
      env,
      signal,
      quiet: false,
    });
    const counts = countRun(code, await readFile(reportFile, "utf8").catch(() => undefined));
    return { label, ...counts, elapsedMs: performance.now() - started };
  };
}

/** The commands of a script of package.json, in words; those used here are plain ones of tools in node_modules/.bin, joined by `&&`. */
async function commandsOf(name: string): Promise<readonly (readonly string[])[]> {
  const manifest = JSON.parse(await readFile(join(repository, "package.json"), "utf8")) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  return manifest.scripts[name]?.split(" && ").map((command) => command.split(" ")) ?? [];
}

/** What is read here of vitest's JSON report. */
interface RunReport {
  readonly numPassedTests?: number;
  readonly numFailedTests?: number;
  readonly testResults?: readonly {
    readonly name: string;
    readonly status?: string;
    readonly message?: string;
    readonly assertionResults?: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[] | null;
    }[];
  }[];
}

/**
 * What a vitest run counts for. It can fail without a failed test (a file that does not load, a set-up or clean-up that throws, no test
 * at all, a crash before the report), and that must never look green.
 */
export function countRun(
  exitCode: number | null,
  text: string | undefined,
): Pick<StageResult, "passed" | "failed" | "failures"> {
  const report = JSON.parse(text ?? "{}") as RunReport;
  const { numPassedTests = 0, numFailedTests = 0 } = report;
  if (exitCode === 0 && numPassedTests > 0) return { passed: numPassedTests, failed: numFailedTests, failures: [] };
  const failures = failuresOf(report);
  if (failures.length === 0) failures.push(`vitest ended with exit code ${exitCode} and names no failed test`);
  return { passed: numPassedTests, failed: Math.max(1, numFailedTests), failures };
}

function failuresOf({ testResults = [] }: RunReport): string[] {
  const failures: string[] = [];
  for (const { name, status, message, assertionResults = [] } of testResults) {
    const file = relative(repository, name);
    const failed = assertionResults.filter((assertion) => assertion.status === "failed");
    for (const { fullName, failureMessages } of failed)
      failures.push(`${file}: ${fullName.trim()}: ${reason(failureMessages?.[0])}`);
    if (failed.length === 0 && status === "failed") failures.push(`${file}: ${reason(message)}`);
  }
  return failures;
}

/** The first line of a message; of a property that failed also its seed and its counterexample. */
function reason(text = ""): string {
  const lines = text.split("\n", 3);
  return lines
    .slice(0, lines[0]?.includes("Property failed after") === true ? 3 : 1)
    .join(" ")
    .slice(0, 2_000);
}

async function runTool(
  [command = "", ...args]: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal; readonly quiet: boolean },
): Promise<{ code: number | null; output: string }> {
  const child = spawn(join(repository, "node_modules", ".bin", command), args, {
    cwd: repository,
    env: options.env,
    signal: options.signal,
    stdio: ["ignore", options.quiet ? "pipe" : "inherit", options.quiet ? "pipe" : "inherit"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { code, output };
}
