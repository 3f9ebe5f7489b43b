import { nearest } from "@warren/contracts";
import type { Environment } from "@warren/service";
import { Command, CommanderError, Option } from "commander";
import { addControlCommands } from "./control-commands.ts";
import { addEndpointCommands } from "./endpoint-commands.ts";
import { type DeadEventsOptions, type EventsReplayOptions, eventsDead, eventsReplay } from "./events.ts";
import { describeFailure, type ExitCode, exitCodes } from "./exit.ts";
import { id, names, positive } from "./flags.ts";
import { addFlowCommands } from "./flow-commands.ts";
import { jobShow, migrateStatus, migrateUp } from "./ledger.ts";
import { type LimitFlags, limitsClear, limitsList, limitsPause, limitsSet, type PauseFlags } from "./limits.ts";
import type { Output, OutputFormat } from "./output.ts";
import { payloadsRotate, payloadsSweep } from "./payloads.ts";
import { addQueueCommands } from "./queues.ts";
import { addRuleCommands } from "./rules.ts";
import { addScheduleCommands } from "./schedule-commands.ts";
import { addSourceCommands } from "./source-commands.ts";
import { topologyApply, topologyMigrate, topologyPlan } from "./topology.ts";
import { addWebhookCommands } from "./webhook-commands.ts";

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
    assertKnown(program, line.args);
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

/**
 * Commander shows the help of the parent for a misspelt command with `--help` or after `help`, and hands one to a default command as its
 * argument. All are usage errors.
 */
function assertKnown(program: Command, args: readonly string[]): void {
  let command = program;
  let isValue = false;
  for (const arg of args) {
    const isFlag = arg.startsWith("-");
    if (!isFlag && !isValue && arg !== "help") {
      const known = command.commands.find((one) => one.name() === arg);
      if (known === undefined) {
        const near = nearest(arg, ["help", ...command.commands.map((one) => one.name())]);
        const hint = near === undefined ? "" : `\n(Did you mean ${near}?)`;
        return command.error(`error: unknown command '${arg}'${hint}`);
      }
      if (known.commands.length === 0) return;
      command = known;
    }
    isValue = arg === "-o" || arg === "--output";
  }
}

function describeProgram(line: CommandLine, finish: (code: ExitCode) => void): Command {
  const { environment } = line;
  const program = new Command("warren")
    .description("Looks after Warren's broker topology, ledger and jobs. Reads AMQP_URL and DATABASE_URL.")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json"]).default("table"))
    .addOption(new Option("--json", "the same as -o json").implies({ output: "json" }))
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

  const job = program.command("job").description("jobs in the ledger");
  job
    .command("show")
    .argument("<id>", "", id)
    .description("all that is known of one job; exit code 4 if it is unknown")
    .action(async (id: string) => finish(await jobShow({ environment, output: output(), id })));

  addQueueCommands(program, () => ({ environment, output: output() }), finish);
  describeLimits(program, (run) => run({ environment, output: output() }).then(finish));

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
  addControlCommands(program, job, () => ({ environment, output: output() }), finish);
  addScheduleCommands(program, () => ({ environment, output: output() }), finish);
  addSourceCommands(program, () => ({ environment, output: output() }), finish);
  addRuleCommands(program, () => ({ environment, output: output() }), finish);
  addEndpointCommands(program, () => ({ environment, output: output() }), finish);
  addWebhookCommands(program, () => ({ environment, output: output() }), finish);
  addFlowCommands(program, { environment, output, finish });

  const payloads = program.command("payloads").description("encrypted and offloaded payloads");
  payloads
    .command("rotate")
    .description(
      "encrypt the payloads of unfinished jobs, and secrets of sources and endpoints, under the current key; exit code 1 if some do not open",
    )
    .action(async () => finish(await payloadsRotate({ environment, output: output() })));
  payloads
    .command("sweep")
    .description("delete objects of the payload store that no job refers to; dispatchers do it hourly")
    .action(async () => finish(await payloadsSweep({ environment, output: output() })));
  return program;
}

function queuesOption(): Option {
  const described = "comma-separated; default: the queues that the ledger knows of";
  return new Option("-q, --queues <names>", described).argParser(names);
}

/** What every command of limits needs. */
type LimitsRun = (parts: { readonly environment: Environment; readonly output: Output }) => Promise<ExitCode>;

function describeLimits(program: Command, act: (run: LimitsRun) => Promise<void>): void {
  const limits = program.command("limits").description("limits and pauses of queues, over all workers, at once");
  limits
    .command("list", { isDefault: true })
    .description("queues that are limited or paused (default)")
    .action(() => act(limitsList));
  limits
    .command("set")
    .argument("<queue>")
    .description('change limits; those not named stay, "none" removes')
    .option("-k, --key <key>", "concurrency and rate of this key alone")
    .option("-c, --concurrency <count>", "jobs that run at once")
    .option("-r, --rate <rate>", "starts, such as 10/m or 100/10s")
    .option("-b, --burst <count>", "starts at once after a rest; default: the rate's count")
    .option("--key-concurrency <count>", "jobs of one key that run at once")
    .option("--key-rate <rate>", "starts of each key")
    .addOption(new Option("--order <order>", "of each key").choices(["strict", "none"]))
    .addOption(new Option("--fairness <state>", "turns between keys").choices(["on", "none"]))
    .addOption(new Option("--priority <state>", "priorities overtake").choices(["on", "none"]))
    .action((queue: string, flags: LimitFlags) => act((parts) => limitsSet({ ...parts, queue, flags })));
  limits
    .command("clear")
    .argument("<queue>")
    .description("remove all limits of a queue; what is paused stays paused")
    .action((queue: string) => act((parts) => limitsClear({ ...parts, queue })));
  for (const [name, paused] of [
    ["pause", true],
    ["resume", false],
  ] as const) {
    limits
      .command(name)
      .argument("<queue>")
      .description(paused ? "start nothing more of a queue, a job name or a key" : "let it go on")
      .option("-j, --job <name>", "only jobs of this name")
      .option("-k, --key <key>", "only jobs of this key")
      .action((queue: string, flags: PauseFlags) => act((parts) => limitsPause({ ...parts, queue, flags, paused })));
  }
}
