import { userInfo } from "node:os";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { ExitCode } from "./exit.ts";
import type { LedgerCommand } from "./ledger.ts";
import {
  scheduleDelete,
  scheduleList,
  schedulePause,
  schedulePreview,
  scheduleResume,
  scheduleShow,
  scheduleTrigger,
} from "./schedules.ts";

/** Adds `schedule …` to the program. `context` is asked when a command runs, after the options are read. */
export function addScheduleCommands(
  program: Command,
  context: () => LedgerCommand,
  finish: (code: ExitCode) => void,
): void {
  const schedule = program.command("schedule").description("what makes jobs by the clock");
  const onOne = (
    name: string,
    description: string,
    act: (command: LedgerCommand & { readonly name: string }) => Promise<ExitCode>,
  ) =>
    schedule
      .command(name)
      .argument("<name>")
      .description(description)
      .action(async (one: string) => finish(await act({ ...context(), name: one })));

  schedule
    .command("list")
    .description("all schedules, orphans among them")
    .action(async () => finish(await scheduleList(context())));
  onOne("show", "all that is known of one; exit code 4 if it is unknown", scheduleShow);
  schedule
    .command("pause")
    .argument("<name>")
    .option("--by <who>", "who does it, shown with the schedule", userInfo().username)
    .description("nothing fires until resume, and nothing of it is made up for")
    .action(async (name: string, { by }: { by: string }) => finish(await schedulePause({ ...context(), name, by })));
  onOne("resume", "go on with the next occurrence", scheduleResume);
  onOne("trigger", "make a job of it now", scheduleTrigger);
  onOne("delete", "what code defines comes back at its next deploy; exit code 4 if it is unknown", scheduleDelete);
  schedule
    .command("preview")
    .argument("<name>", "a schedule, or a rhythm such as '0 3 * * *'")
    .option("-n, --count <count>", "how many", countOf, 10)
    .option("--zone <zone>", "whose clock the rhythm goes by, such as Europe/Berlin; default UTC")
    .description("the next times at which it fires")
    .action(async (name: string, { count, zone }: { count: number; zone?: string }) =>
      finish(await schedulePreview({ ...context(), name, count, zone })),
    );
}

function countOf(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 1_000) return count;
  throw new InvalidArgumentError("expected 1 to 1000");
}
