import { userInfo } from "node:os";
import { type Command, Option } from "commander";
import type { ExitCode } from "./exit.ts";
import { id, instant, positive } from "./flags.ts";
import {
  eventList,
  eventReplay,
  eventShow,
  type ReplayFlags,
  type RunFlags,
  replayList,
  replayMany,
  replayTurn,
  requestList,
  requestShow,
  requestVerify,
  type WebhookCommand,
  type WebhookFlags,
} from "./webhooks.ts";

/** Adds `webhook …` to the program: received requests and their events, by the management API. */
export function addWebhookCommands(
  program: Command,
  context: () => WebhookCommand,
  finish: (code: ExitCode) => void,
): void {
  const webhook = program
    .command("webhook")
    .description("received webhooks, their events, and running them again; by the management API (WARREN_API_URL)");

  withPage(withFilter(webhook.command("requests")))
    .option("--status <statuses>", "accepted, duplicate, rejected, answered; commas between")
    .option("--cause <causes>", "why rejected; commas between")
    .description("every call that came, newest first")
    .action(async (flags: WebhookFlags) => finish(await requestList({ ...context(), flags })));
  webhook
    .command("request")
    .argument("<id>", "", id)
    .option("--reveal", "also secrets and signatures")
    .description("one with its headers and body; exit code 4 if it is unknown")
    .action(async (id: string, { reveal }: { reveal?: boolean }) =>
      finish(await requestShow({ ...context(), id, reveal: reveal === true })),
    );
  withPage(withFilter(webhook.command("events")))
    .option("--state <states>", "dead, unfinished, cancelled, forgotten, succeeded, unmatched; commas between")
    .description("accepted events, newest first, with how their jobs stand")
    .action(async (flags: WebhookFlags) => finish(await eventList({ ...context(), flags })));
  webhook
    .command("event")
    .argument("<id>", "", id)
    .description("one with its jobs, duplicates and runs; exit code 4 if it is unknown")
    .action(async (id: string) => finish(await eventShow({ ...context(), id })));
  withReason(webhook.command("replay"))
    .argument("<id>", "", id)
    .addOption(modeOption())
    .description("run an event again; what has succeeded is left alone")
    .action(async (id: string, flags: RunFlags) => finish(await eventReplay({ ...context(), id, flags })));
  withReason(webhook.command("verify"))
    .argument("<id>", "", id)
    .description("judge a rejected request again, as of when it came")
    .action(async (id: string, flags: RunFlags) => finish(await requestVerify({ ...context(), id, flags })));

  const replays = webhook.command("replays").description("many at once, in the background, behind live traffic");
  replays
    .command("list", { isDefault: true })
    .description("the latest first: who, what, how far")
    .action(async () => finish(await replayList(context())));
  withReason(withFilter(replays.command("create")))
    .addOption(
      new Option("--action <action>", "events, or rejected requests").choices(["replay", "verify"]).default("replay"),
    )
    .addOption(modeOption())
    .option("--state <states>", "only events whose jobs stand so; commas between")
    .option("--cause <causes>", "only requests rejected for this; commas between")
    .addOption(new Option("--rate <events>", "a second at most").argParser(positive))
    .addOption(new Option("--most <count>", "at most so many, the oldest first").argParser(positive))
    .option("-n, --dry-run", "only count what would be taken")
    .description("run what has come until now again")
    .action(async (flags: ReplayFlags) => finish(await replayMany({ ...context(), flags })));
  for (const turn of ["pause", "resume", "abort"] as const) {
    replays
      .command(turn)
      .argument("<id>", "", id)
      .addOption(byOption())
      .description(`${turn} one`)
      .action(async (id: string, { by }: { by: string }) => finish(await replayTurn({ ...context(), id, turn, by })));
  }
}

function withFilter(command: Command): Command {
  return command
    .option("-s, --source <name>", "only of this source")
    .option("-t, --type <type>", "only of this type; with * at the end, its beginning")
    .option("--event-id <id>", "only with the provider's id")
    .option("--subject <subject>", "only about this")
    .option("--routing <marker>", "unmatched: nothing came of it; failed: a rule failed")
    .addOption(new Option("--from <time>", "received at this time or later").argParser(instant))
    .addOption(new Option("--before <time>", "received before this time").argParser(instant));
}

function withPage(command: Command): Command {
  return command
    .option("-b, --body <condition...>", 'such as data.object.id="pi_1"; may be repeated')
    .addOption(new Option("-l, --limit <count>", "at most so many, up to 200").argParser(positive).default(50))
    .option("--cursor <cursor>", "go on from there");
}

function withReason(command: Command): Command {
  return command.requiredOption("--why <text>", "kept with what is done").addOption(byOption());
}

const byOption = (): Option => new Option("--by <who>", "who does it").default(userInfo().username);
const modeOption = (): Option =>
  new Option("--mode <mode>", "what the event lacks, or everything anew")
    .choices(["missing", "new"])
    .default("missing");
