import { WarrenError } from "@warren/contracts";
import type { FlowNode, FlowRecord, FlowState } from "@warren/ledger";
import type { Environment } from "@warren/service";
import { connectLedger } from "./connect.ts";
import { type ExitCode, exitCodes } from "./exit.ts";
import { type Output, printJson, printRows, say } from "./output.ts";

interface FlowCommand {
  readonly environment: Environment;
  readonly output: Output;
  readonly id: string;
}

export const flowStates: readonly FlowState[] = [
  "running",
  "stopping",
  "compensating",
  "succeeded",
  "failed",
  "compensated",
  "compensation_failed",
  "cancelled",
];

export interface FlowListOptions {
  readonly environment: Environment;
  readonly output: Output;
  readonly state: FlowState | undefined;
  readonly name: string | undefined;
  readonly before: string | undefined;
  readonly limit: number;
}

/** Lists flows, newest first. */
export async function flowList(options: FlowListOptions): Promise<ExitCode> {
  const { environment, output, state, name, before, limit } = options;
  await using ledger = await connectLedger(environment);
  const flows = await ledger.flows.list({
    limit,
    ...(state === undefined ? {} : { state }),
    ...(name === undefined ? {} : { name }),
    ...(before === undefined ? {} : { before }),
  });
  if (output.format === "json") printJson(output, flows);
  else printRows(output, ["id", "name", "key", "state", "reason", "created", "finished"], flows.map(flowRow));
  return exitCodes.ok;
}

function flowRow({ id, name, key, state, reason, createdAt, finishedAt }: FlowRecord) {
  return { id, name, key, state, reason, created: createdAt.toISOString(), finished: finishedAt?.toISOString() };
}

/** Shows a flow and all its nodes. */
export async function flowShow({ environment, output, id }: FlowCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const flow = await ledger.flows.find(id);
  if (flow === undefined) return missing(output, id);
  const nodes = await ledger.flows.tree(id);
  if (output.format === "json") {
    printJson(output, { ...flow, nodes });
    return exitCodes.ok;
  }
  say(output, headline(flow));
  printRows(output, ["node", "state", "job", "after", "reason", "undo", "id"], nodes.map(nodeRow));
  return exitCodes.ok;
}

function headline({ name, key, state, reason, failedNode, stoppedBy, runs }: FlowRecord): string {
  const why = [
    ...(failedNode === undefined ? [] : [`node ${failedNode}`]),
    ...(reason === undefined ? [] : [reason]),
    ...(stoppedBy === undefined ? [] : [`by ${stoppedBy}`]),
    ...(runs === 1 ? [] : [`run ${runs}`]),
  ];
  return `flow ${name}${key === undefined ? "" : ` ${key}`}: ${state}${why.length === 0 ? "" : ` (${why.join(", ")})`}`;
}

function nodeRow({ name, state, definition, after, reason, compensation, jobId }: FlowNode) {
  return { node: name, state, job: definition, after: after.join(", "), reason, undo: compensation?.state, id: jobId };
}

/** Cancels a flow; `unhealthy` when it had ended already. */
export async function flowCancel(
  options: FlowCommand & { readonly reason: string; readonly by: string },
): Promise<ExitCode> {
  const { environment, output, id, reason, by } = options;
  await using ledger = await connectLedger(environment);
  const answer = await ledger.flows.cancel(id, { reason, by });
  if (answer.kind === "missing") return missing(output, id);
  if (output.format === "json") printJson(output, answer);
  else if (answer.kind === "cancelled") {
    const waiting = answer.cancelRequested.length;
    say(output, `${headline(answer.flow)}${waiting === 0 ? "" : `; waits for ${waiting} running jobs`}`);
  } else say(output, `nothing to cancel: ${headline(answer.flow)}`);
  return answer.kind === "finished" ? exitCodes.unhealthy : exitCodes.ok;
}

/** Retries what failed of a flow, or only some nodes. */
export async function flowRetry(
  options: FlowCommand & { readonly nodes: readonly string[] | undefined },
): Promise<ExitCode> {
  const { environment, output, id, nodes } = options;
  await using ledger = await connectLedger(environment);
  const answer = await ledger.flows.retry(id, nodes);
  switch (answer.kind) {
    case "missing":
      return missing(output, id);
    case "refused":
      throw new WarrenError(answer.code, answer.detail, { details: { flowId: id } });
    case "retried":
      if (output.format === "json") printJson(output, { nodes: answer.nodes });
      else say(output, `runs again: ${answer.nodes.join(", ")}`);
      return exitCodes.ok;
    default:
      return answer satisfies never;
  }
}

/** Forgets an ended flow with its jobs. */
export async function flowRemove({ environment, output, id }: FlowCommand): Promise<ExitCode> {
  await using ledger = await connectLedger(environment);
  const answer = await ledger.flows.remove(id);
  if (answer === "missing") return missing(output, id);
  if (answer === "unfinished") {
    throw new WarrenError("FLOW_NOT_REMOVABLE", `flow ${id} has not ended`, { details: { flowId: id } });
  }
  if (output.format === "json") printJson(output, { removed: id });
  else say(output, `flow ${id} and its jobs are removed`);
  return exitCodes.ok;
}

function missing(output: Output, id: string): ExitCode {
  if (output.format === "json") printJson(output, null);
  else say(output, `no flow ${id}: wrong id, or it is past retention`);
  return exitCodes.notFound;
}
