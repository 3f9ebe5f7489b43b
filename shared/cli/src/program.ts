import type { Environment } from "@warren/service";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { type DeadEventsOptions, type EventsReplayOptions, eventsDead, eventsReplay } from "./events.ts";
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
    .argument("<queue>", "a queue, such as default, warren.jobs.default or warren.events.billing.invoices")
    .description("make a queue anew with the declared arguments and keep its messages; stop its workers first")
    .addOption(new Option("-p, --patterns <patterns>", "what a subscription's queue is bound to").argParser(names))
    .action(async (queue: string, { patterns }: { patterns?: readonly string[] }) =>
      finish(await topologyMigrate({ environment, output: output(), queue, patterns })),
    );

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

  const events = program.command("events").description("events that subscriptions gave up on");
  events
    .command("dead")
    .description("list dead events, newest first")
    .option("-s, --subscription <service.name>", "only of this subscription")
    .option("-t, --type <type>", "only of this event type")
    .option("-r, --reason <code>", "only for this reason")
    .option("-a, --all", "also those that were replayed")
    .addOption(new Option("-l, --limit <count>", "at most so many").argParser(positive).default(50))
    .action(async (options: DeadEventsOptions) =>
      finish(await eventsDead({ environment, output: output(), ...options })),
    );
  events
    .command("replay")
    .description("send dead events again, to the one subscription that gave up on them; exit code 4 if none match")
    .requiredOption("-s, --subscription <service.name>", "the subscription")
    .option("-t, --type <type>", "only of this event type")
    .option("-r, --reason <code>", "only for this reason")
    .addOption(new Option("-i, --id <ids>", "only these dead letters, comma-separated").argParser(names))
    .option("-a, --all", "also those that were replayed")
    .addOption(new Option("--rate <count>", "events a second, at most; default 100").argParser(positive))
    .addOption(new Option("-l, --limit <count>", "events in all, at most").argParser(positive))
    .option("-d, --data <file>", "a JSON file with the data to send instead; with one --id")
    .option("-n, --dry-run", "only count")
    .action(async (options: EventsReplayOptions) =>
      finish(await eventsReplay({ environment, output: output(), ...options })),
    );
  return program;
}

function positive(text: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number > 0) return number;
  throw new InvalidArgumentError("expected a number above 0");
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
