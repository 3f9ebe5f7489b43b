import type { FlowState, JobTemplate, Ledger, NewJob, NewNode, RunSql } from "@warren/ledger";
import { currentContext } from "@warren/observability";
import { z } from "zod";
import type { JobDefinition } from "../define.ts";
import type { Client } from "../enqueue/client.ts";
import type { EnqueueOptions } from "../enqueue/draft.ts";
import { JobDataError } from "../errors.ts";
import { parseOptions, unexpected } from "../options.ts";
import type { Flow, PlannedNode } from "./plan.ts";

export interface StartFlowOptions {
  /** Your own name for this flow, up to 200 characters: starting the same id of the same flow again makes no second one. */
  readonly id?: string;
  /** Default: that of the current context, else a new one. */
  readonly correlationId?: string;
  /** Start it inside your own transaction. The dispatcher publishes after your commit. */
  readonly tx?: RunSql;
}

export interface StartedFlow {
  readonly id: string;
  /** `false`: the id was known, and nothing was written. */
  readonly created: boolean;
  readonly state: FlowState;
  /** Job ids by the names of their nodes. */
  readonly jobs: Readonly<Record<string, string>>;
}

const startOptions = z.strictObject({
  id: z.string().min(1).max(200).optional(),
  correlationId: z.string().min(1).max(200).optional(),
  tx: z
    .custom<RunSql>((value) => typeof value === "function", "expected a function that runs one statement")
    .optional(),
});

export interface FlowStarter {
  /**
   * Starts a flow: all its jobs are written, or nothing. Those that wait for nothing start at once.
   * @throws JobDataError as `enqueue`, naming the node; JobOptionError; FlowError.
   */
  startFlow(flow: Flow, options?: StartFlowOptions): Promise<StartedFlow>;
}

export interface FlowStarterOptions {
  readonly ledger: Pick<Ledger, "flows">;
  readonly sendBy: NewJob["sendBy"];
  readonly announce: Client["announce"];
  readonly prepare: Client["prepare"];
  readonly newId: () => string;
}

/** Payloads may have to be sealed or stored elsewhere: so many at once. */
const preparedAtOnce = 100;

export function createFlowStarter({ ledger, sendBy, announce, prepare, newId }: FlowStarterOptions): FlowStarter {
  return {
    async startFlow(flow, given = {}) {
      assertFlow(flow);
      const { id, tx, ...options } = parseOptions("startFlow", startOptions, given);
      const context = currentContext();
      const correlationId = options.correlationId ?? context?.correlationId ?? newId();
      const by = tx === undefined ? sendBy : "dispatcher";
      const plan = {
        name: flow.name,
        key: id,
        correlationId,
        trace: context?.traceparent,
        nodes: await newNodes(flow, { correlationId, sendBy: by, prepare }),
        onFinished: flow.onFinished === undefined ? undefined : templateOf(flow.onFinished, correlationId),
      };
      const { ready, ...started } = await (tx === undefined
        ? ledger.flows.create(plan)
        : ledger.flows.createIn(tx, plan));
      if (tx === undefined) announce(ready);
      return started;
    },
  };
}

export interface NodeContext {
  readonly correlationId: string;
  readonly sendBy: NewJob["sendBy"];
  readonly prepare: Client["prepare"];
}

async function newNodes(flow: Flow, context: NodeContext): Promise<readonly NewNode[]> {
  const nodes: NewNode[] = [];
  for (let start = 0; start < flow.nodes.length; start += preparedAtOnce) {
    const some = flow.nodes.slice(start, start + preparedAtOnce);
    for (const node of await Promise.all(some.map((one) => newNode(flow.name, one, context)))) nodes.push(node);
  }
  return nodes;
}

/** The rows of a planned node. @throws JobDataError, which names the node. */
export async function newNode(flow: string, node: PlannedNode, context: NodeContext): Promise<NewNode> {
  const { name, after, onFailure, startOnFailure, compensate } = node;
  const { correlationId } = context;
  return {
    name,
    job: await prepareNode(flow, node, context),
    after,
    onFailure,
    startOnFailure,
    compensation: compensate === undefined ? undefined : templateOf(compensate, correlationId, node.options),
  };
}

async function prepareNode(flow: string, node: PlannedNode, context: NodeContext): Promise<NewJob> {
  const { name, definition, payload, options } = node;
  const { correlationId, sendBy, prepare } = context;
  try {
    // in a flow, its id and the node's name say what is the same work; a unique key would leave a hole in it
    const job = await prepare({ ...definition, unique: undefined }, payload, { ...options, correlationId });
    return { ...job, sendBy };
  } catch (error) {
    if (!(error instanceof JobDataError)) throw error;
    const details = { ...error.details, flow, node: name };
    throw new JobDataError(error.code, `flow "${flow}", node "${name}": ${error.message}`, { details, cause: error });
  }
}

/** What the ledger needs to enqueue a job later; a compensation inherits the key of its step. */
function templateOf(
  definition: JobDefinition,
  correlationId: string,
  { key }: Pick<EnqueueOptions, "key"> = {},
): JobTemplate {
  return {
    queue: definition.queue,
    name: definition.name,
    version: definition.version,
    maxAttempts: definition.attempts,
    maxStalls: definition.maxStalls,
    breakers: definition.breakers,
    correlationId,
    sendBy: "dispatcher",
    ...(key === undefined ? {} : { limitKey: key }),
  };
}

/** For callers without types. */
function assertFlow(given: unknown): void {
  if (typeof given === "object" && given !== null && "nodes" in given && Array.isArray(given.nodes)) return;
  throw unexpected("startFlow", "flow", "expected a flow, made by defineFlow, chain, group or chord", given);
}
