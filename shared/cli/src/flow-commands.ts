import { userInfo } from "node:os";
import type { FlowState } from "@warren/ledger";
import type { Environment } from "@warren/service";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { ExitCode } from "./exit.ts";
import { id } from "./flags.ts";
import { flowCancel, flowList, flowRemove, flowRetry, flowShow, flowStates } from "./flows.ts";
import type { Output } from "./output.ts";

export interface FlowCommandsOptions {
  readonly environment: Environment;
  readonly output: () => Output;
  readonly finish: (code: ExitCode) => void;
}

/** `warren flow …`. */
export function addFlowCommands(program: Command, { environment, output, finish }: FlowCommandsOptions): void {
  const flow = program.command("flow").description("flows: jobs that depend on each other");
  flow
    .command("list")
    .description("newest first")
    .addOption(new Option("-s, --state <state>", "only these").choices(flowStates))
    .option("-n, --name <name>", "only flows of this name")
    .option("--before <id>", "only older ones: the last id of the page before", id)
    .option("-l, --limit <count>", "how many at most", limit, 20)
    .action(async (options: { state?: FlowState; name?: string; before?: string; limit: number }) => {
      const { state, name, before } = options;
      finish(await flowList({ environment, output: output(), state, name, before, limit: options.limit }));
    });
  flow
    .command("show")
    .argument("<id>", "id of the flow", id)
    .description("a flow and all its nodes; exit code 4 if it is unknown")
    .action(async (id: string) => finish(await flowShow({ environment, output: output(), id })));
  flow
    .command("cancel")
    .argument("<id>", "id of the flow", id)
    .option("-r, --reason <text>", "kept with the flow", "cancelled by hand")
    .option("--by <name>", "who wants it; default: you")
    .description("cancel what waits, stop what runs, undo what is done; exit code 3 if it had ended")
    .action(async (id: string, { reason, by }: { reason: string; by?: string }) =>
      finish(await flowCancel({ environment, output: output(), id, reason, by: by ?? userInfo().username })),
    );
  flow
    .command("retry")
    .argument("<id>", "id of the flow", id)
    .argument("[nodes...]", "only these of the failed nodes, and what comes after them")
    .description("run again what failed; what is done is not run again")
    .action(async (id: string, nodes: readonly string[]) =>
      finish(await flowRetry({ environment, output: output(), id, nodes: nodes.length === 0 ? undefined : nodes })),
    );
  flow
    .command("remove")
    .argument("<id>", "id of the flow", id)
    .description("forget an ended flow with its jobs")
    .action(async (id: string) => finish(await flowRemove({ environment, output: output(), id })));
}

function limit(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 1_000) return count;
  throw new InvalidArgumentError("expected a whole number from 1 to 1000.");
}
