import { userInfo } from "node:os";
import type { JobState } from "@warren/ledger";
import { type Command, InvalidArgumentError, Option } from "commander";
import {
  type BulkFlags,
  bulkList,
  bulkStart,
  bulkTurn,
  jobCancel,
  jobDiscard,
  jobLines,
  jobList,
  jobRestore,
  jobRetry,
  jobWait,
  type ListFlags,
} from "./control.ts";
import type { ExitCode } from "./exit.ts";
import { id, instant, positive } from "./flags.ts";
import type { LedgerCommand } from "./ledger.ts";

/** Adds what people do to jobs: to `job`, and as `dead` and `bulk`. `context` is asked when a command runs. */
export function addControlCommands(
  program: Command,
  job: Command,
  context: () => LedgerCommand,
  finish: (code: ExitCode) => void,
): void {
  job
    .command("cancel")
    .argument("<id>", "", id)
    .requiredOption("--reason <text>", "why; kept with the job and told to its handler")
    .addOption(byOption())
    .description("end a job, whatever it is doing; exit code 4 if it is unknown")
    .action(async (id: string, flags: { reason: string; by: string }) =>
      finish(await jobCancel({ ...context(), id, ...flags })),
    );
  addRetry(job, context, finish);
  job
    .command("discard")
    .argument("<id>", "", id)
    .addOption(byOption())
    .description("put a dead or cancelled job aside for good")
    .action(async (id: string, { by }: { by: string }) => finish(await jobDiscard({ ...context(), id, by })));
  job
    .command("restore")
    .argument("<id>", "", id)
    .addOption(byOption())
    .description("take a discard back")
    .action(async (id: string, { by }: { by: string }) => finish(await jobRestore({ ...context(), id, by })));
  addList(job, "list", "jobs, newest first", context, finish);
  job
    .command("logs")
    .argument("<id>", "", id)
    .description("the lines that its handler wrote with job.note")
    .action(async (id: string) => finish(await jobLines({ ...context(), id })));
  job
    .command("wait")
    .argument("<id>", "", id)
    .addOption(new Option("--timeout <ms>", "give up after").argParser(positive).default(30_000))
    .description("print its result when it has one; exit code 1 if it does not succeed in time")
    .action(async (id: string, { timeout }: { timeout: number }) =>
      finish(await jobWait({ ...context(), id, timeoutMs: timeout })),
    );

  const dead = program.command("dead").description("jobs that were given up");
  addList(dead, "list", "dead jobs, newest first", context, finish, ["dead"]);
  addRetry(dead, context, finish);

  const bulk = program.command("bulk").description("one thing done to many jobs, by the dispatcher");
  for (const action of ["cancel", "retry", "discard", "restore"] as const) {
    withFilter(bulk.command(action))
      .requiredOption("--why <text>", "kept with the operation; jobs that are cancelled say so")
      .addOption(byOption())
      .addOption(new Option("--rate <jobs>", "a second at most").argParser(positive))
      .addOption(new Option("-l, --limit <count>", "at most so many, the oldest first").argParser(positive))
      .option("--dry-run", "only count what matches now")
      .description(`${action} all jobs that match at this moment`)
      .action(async (flags: BulkFlags) => finish(await bulkStart({ ...context(), action, flags })));
  }
  bulk
    .command("list")
    .description("operations, the latest first: who, what, how far")
    .action(async () => finish(await bulkList(context())));
  for (const turn of ["pause", "resume", "abort"] as const) {
    bulk
      .command(turn)
      .argument("<id>", "", id)
      .addOption(byOption())
      .description(`${turn} an operation`)
      .action(async (id: string, { by }: { by: string }) => finish(await bulkTurn({ ...context(), id, by, turn })));
  }
}

function addRetry(parent: Command, context: () => LedgerCommand, finish: (code: ExitCode) => void): void {
  parent
    .command("retry")
    .argument("<id>", "", id)
    .addOption(new Option("--attempts <count>", "how many count from now on").argParser(positive))
    .description(
      "run a dead or cancelled job again, under its id; of a flow, with what was cancelled or skipped because of it",
    )
    .action(async (id: string, flags: { attempts?: number }) => finish(await jobRetry({ ...context(), id, ...flags })));
}

function addList(
  parent: Command,
  name: string,
  description: string,
  context: () => LedgerCommand,
  finish: (code: ExitCode) => void,
  states?: readonly JobState[],
): void {
  withFilter(parent.command(name))
    .addOption(new Option("-l, --limit <count>", "at most so many, up to 200").argParser(positive).default(50))
    .option("--cursor <id>", "go on from there")
    .option("--newer", "towards newer jobs")
    .option("--discarded", "also those that were discarded")
    .description(description)
    .action(async (flags: ListFlags) =>
      finish(await jobList({ ...context(), flags: states === undefined ? flags : { ...flags, state: states } })),
    );
}

const stateNames = ["blocked", "scheduled", "ready", "running", "retrying", "succeeded", "dead", "cancelled"] as const;

function withFilter(command: Command): Command {
  return command
    .option("-q, --queue <name>", "only of this queue")
    .option("-n, --name <job>", "only of this definition")
    .addOption(new Option("-s, --state <states>", "only in these, comma-separated").argParser(states))
    .option("-r, --reason <text>", "only dead or cancelled for this reason")
    .addOption(new Option("--after <time>", "made at this time or later").argParser(instant))
    .addOption(new Option("--before <time>", "made before this time").argParser(instant))
    .option("--schedule <name>", "only made by this schedule")
    .option("--key <key>", "only with this key")
    .addOption(
      new Option("-a, --attribute <name=value>", "only with this field; may be repeated").argParser(attribute),
    );
}

const byOption = (): Option => new Option("--by <who>", "who does it").default(userInfo().username);

function states(text: string): readonly JobState[] {
  return text.split(",").map((name) => {
    const state = stateNames.find((known) => known === name.trim());
    if (state === undefined) throw new InvalidArgumentError(`Allowed states are ${stateNames.join(", ")}.`);
    return state;
  });
}

function attribute(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected name=value.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}
