import type { Environment } from "@warren/service";
import { Command, CommanderError, Option } from "commander";
import { describeFailure, type ExitCode, exitCodes } from "./exit.ts";
import { jobShow, migrateStatus, migrateUp } from "./ledger.ts";
import type { Output, OutputFormat } from "./output.ts";
import { topologyApply, topologyMigrate, topologyPlan } from "./topology.ts";

export interface CommandLine {
  /** Without the interpreter and the script. */
  readonly args: readonly string[];
  readonly environment: Environment;
  readonly isTerminal: boolean;
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

/** Runs one command. Never throws: what goes wrong is told on `stderr` with its fix, and is in the exit code. */
export async function runCommand(line: CommandLine): Promise<ExitCode> {
  let exitCode: ExitCode = exitCodes.ok;
  const program = describeProgram(line, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...line.args], { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has already told the user: of a usage error, or help and version, which are none.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const failure = describeFailure(error);
    line.stderr(`${failure.text}\n`);
    return failure.exitCode;
  }
}

function describeProgram(line: CommandLine, finish: (code: ExitCode) => void): Command {
  const { environment } = line;
  const program = new Command("warren")
    .description("Looks after Warren's broker topology, ledger and jobs. Reads AMQP_URL and DATABASE_URL.")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .exitOverride()
    .configureOutput({ writeOut: line.stdout, writeErr: line.stderr })
    .showHelpAfterError("(--help shows the commands)");

  const output = (): Output => ({
    format: program.opts<{ output: OutputFormat }>().output,
    isTerminal: line.isTerminal,
    write: line.stdout,
  });

  const topology = program.command("topology").description("exchanges, queues and bindings of the broker");
  topology
    .command("plan")
    .description("compare declared with actual; exit code 3 if something is missing or differs")
    .addOption(queuesOption())
    .action(async ({ queues }: { queues?: readonly string[] }) =>
      finish(await topologyPlan({ environment, output: output(), queues })),
    );
  topology
    .command("apply")
    .description("make what is missing")
    .addOption(queuesOption())
    .action(async ({ queues }: { queues?: readonly string[] }) =>
      finish(await topologyApply({ environment, output: output(), queues })),
    );
  topology
    .command("migrate")
    .argument("<queue>", "a queue, such as default or warren.jobs.default")
    .description("make a queue anew with the declared arguments and keep its messages; stop its workers first")
    .action(async (queue: string) => finish(await topologyMigrate({ environment, output: output(), queue })));

  const migrate = program.command("migrate").description("bring the ledger's schema up to date");
  migrate
    .command("up", { isDefault: true })
    .description("apply the missing migrations (default)")
    .action(async () => finish(await migrateUp({ environment, output: output() })));
  migrate
    .command("status")
    .description("show the applied migrations; exit code 3 if some are missing")
    .action(async () => finish(await migrateStatus({ environment, output: output() })));

  program
    .command("job")
    .description("jobs in the ledger")
    .command("show")
    .argument("<id>")
    .description("all that is known of one job; exit code 4 if it is unknown")
    .action(async (id: string) => finish(await jobShow({ environment, output: output(), id })));
  return program;
}

function queuesOption(): Option {
  const described = "comma-separated; default: the queues that the ledger knows of";
  return new Option("-q, --queues <names>", described).argParser(names);
}

function names(text: string): readonly string[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
