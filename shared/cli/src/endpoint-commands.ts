import { deliveryState } from "@warren/contracts";
import { type Command, Option } from "commander";
import {
  type DeliveryFlags,
  deliveryList,
  deliveryResend,
  deliveryShow,
  type EndpointCommand,
  type EndpointFlags,
  endpointCreate,
  endpointDelete,
  endpointList,
  endpointRetry,
  endpointRotate,
  endpointShow,
  endpointSwitch,
  endpointTest,
} from "./endpoints.ts";
import type { ExitCode } from "./exit.ts";
import { instant, names, positive, seconds } from "./flags.ts";

const daySeconds = 86_400;

/** Adds `endpoint …` to the program: where outbound webhooks go, by the management API. */
export function addEndpointCommands(
  program: Command,
  context: () => EndpointCommand,
  finish: (code: ExitCode) => void,
): void {
  const endpoint = program
    .command("endpoint")
    .description("where outbound webhooks go, and what became of each; by the management API (WARREN_API_URL)");
  const onOne = (
    name: string,
    description: string,
    act: (on: EndpointCommand & { readonly id: string }) => Promise<ExitCode>,
  ) =>
    endpoint
      .command(name)
      .argument("<id>")
      .description(description)
      .action(async (id: string) => finish(await act({ ...context(), id })));

  endpoint
    .command("list")
    .description("all endpoints, with what keeps one from getting webhooks")
    .action(async () => finish(await endpointList(context())));
  onOne("show", "all that is known of one, but its secrets; exit code 4 if it is unknown", endpointShow);
  withSecret(endpoint.command("create"))
    .argument("<url>", "where its deliveries go, by POST")
    .addOption(
      new Option("-t, --types <types>", "it wants, such as invoice.*,order.#; default: every type").argParser(names),
    )
    .option("--description <text>", "for people")
    .option("--settings-file <file>", "JSON of its other fields, such as rate and headers; - is standard input")
    .description("make one; its secret is shown once")
    .action(async (url: string, flags: EndpointFlags) => finish(await endpointCreate({ ...context(), url, flags })));
  onOne("enable", "send to it again", (on) => endpointSwitch({ ...on, turn: "enable" }));
  onOne("disable", "send nothing more to it", (on) => endpointSwitch({ ...on, turn: "disable" }));
  withSecret(endpoint.command("rotate"))
    .argument("<id>")
    .option("--overlap <seconds>", "how long the secrets before it sign as well; 0: they leaked", seconds, daySeconds)
    .description("a new secret, shown once")
    .action(async (id: string, flags: EndpointFlags & { overlap: number }) =>
      finish(await endpointRotate({ ...context(), id, flags })),
    );
  endpoint
    .command("test")
    .argument("<id>")
    .option("-t, --type <type>", "the event's type; default: warren.test")
    .option("-d, --payload <json>", "the event's data")
    .description("send it an event, whether it wants the type or not")
    .action(async (id: string, options: { type?: string; payload?: string }) =>
      finish(await endpointTest({ ...context(), id, ...options })),
    );
  endpoint
    .command("retry")
    .argument("<id>")
    .addOption(new Option("--since <time>", "what was made then or later").argParser(instant).makeOptionMandatory())
    .addOption(
      new Option("-l, --limit <count>", "at most so many, the newest first; default: 1000").argParser(positive),
    )
    .description("send again what failed at it")
    .action(async (id: string, options: { since: Date; limit?: number }) =>
      finish(await endpointRetry({ ...context(), id, ...options })),
    );
  onOne("delete", "its deliveries are kept; exit code 4 if it is unknown", endpointDelete);

  endpoint
    .command("deliveries")
    .argument("[id]", "of this endpoint; default: of all")
    .addOption(new Option("-s, --state <state>", "only such").choices(deliveryState.options))
    .option("-t, --type <type>", "only of this event type")
    .option("--event <id>", "only of this event")
    .addOption(new Option("--since <time>", "made at this time or later").argParser(instant))
    .addOption(new Option("-l, --limit <count>", "at most so many, up to 200").argParser(positive).default(50))
    .option("--cursor <cursor>", "go on from there")
    .description("what became of each event, newest first")
    .action(async (id: string | undefined, flags: DeliveryFlags) =>
      finish(await deliveryList({ ...context(), id, flags })),
    );
  onOne("delivery", "one delivery with its tries; exit code 4 if it is unknown", deliveryShow);
  onOne("resend", "send one delivery again, whether it failed or was delivered", deliveryResend);
}

function withSecret(command: Command): Command {
  return command
    .addOption(new Option("--kind <kind>", "v1: HMAC-SHA256; v1a: Ed25519").choices(["v1", "v1a"]))
    .option("--secret-file <file>", "a v1 secret of your own; - is standard input");
}
