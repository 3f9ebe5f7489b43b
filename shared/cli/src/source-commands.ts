import type { Command } from "commander";
import type { ExitCode } from "./exit.ts";
import { seconds } from "./flags.ts";
import {
  type CreateOptions,
  type SourceCommand,
  sourceCreate,
  sourceDelete,
  sourceList,
  sourceRevoke,
  sourceRotate,
  sourceShow,
  sourceSwitch,
  sourceTest,
} from "./sources.ts";

const daySeconds = 86_400;
const secretFile = ["--secret-file <file>", "the secret that the provider shows; - is standard input"] as const;

/** Adds `source …` to the program: the management API by hand. */
export function addSourceCommands(
  program: Command,
  context: () => SourceCommand,
  finish: (code: ExitCode) => void,
): void {
  const source = program.command("source").description("who may send webhooks; by the management API (WARREN_API_URL)");
  const onOne = (
    name: string,
    description: string,
    act: (on: SourceCommand & { readonly name: string }) => Promise<ExitCode>,
  ) =>
    source
      .command(name)
      .argument("<name>")
      .description(description)
      .action(async (one: string) => finish(await act({ ...context(), name: one })));

  source
    .command("list")
    .description("all sources, with what keeps one from taking webhooks")
    .action(async () => finish(await sourceList(context())));
  onOne("show", "all that is known of one, but its secrets; exit code 4 if it is unknown", sourceShow);
  source
    .command("create")
    .argument("<name>", "as in /webhooks/<name>")
    .requiredOption("-p, --provider <provider>", "who sends, such as github")
    .option(...secretFile)
    .option("--options <json>", "settings of the provider")
    .option("--disabled", "it takes nothing until it is enabled")
    .description("make one; without a secret one is made, where the provider lets you choose it, and shown once")
    .action(async (name: string, options: CreateOptions) =>
      finish(await sourceCreate({ ...context(), name, ...options })),
    );
  onOne("enable", "take its webhooks", (on) => sourceSwitch({ ...on, enabled: true }));
  onOne("disable", "refuse its webhooks, and keep them", (on) => sourceSwitch({ ...on, enabled: false }));
  source
    .command("rotate")
    .argument("<name>")
    .option(...secretFile)
    .option("--overlap <seconds>", "how long the secrets before it stay good; 0: they leaked", seconds, daySeconds)
    .description("a new secret; without a file one is made, where the provider lets you choose it, and shown once")
    .action(async (name: string, options: { secretFile?: string; overlap: number }) =>
      finish(await sourceRotate({ ...context(), name, ...options })),
    );
  source
    .command("revoke")
    .argument("<name>")
    .argument("<secret id>", "as `source show` tells")
    .description("end one of its secrets at once")
    .action(async (name: string, id: string) => finish(await sourceRevoke({ ...context(), name, id })));
  source
    .command("test")
    .argument("<name>")
    .option("-t, --type <type>", "the event's type")
    .option("-d, --payload <json>", "members of the event's data")
    .description("a test event, signed with its own secret, through the real intake; exit code 1 if it is refused")
    .action(async (name: string, options: { type?: string; payload?: string }) =>
      finish(await sourceTest({ ...context(), name, ...options })),
    );
  onOne("delete", "with its secrets; exit code 4 if it is unknown", sourceDelete);
}
