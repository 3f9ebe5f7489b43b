import type { AddedNode, Adder, Growth, Ledger, NodeOutcome, NodeState, RunSql } from "@warren/ledger";
import type { z } from "zod";
import type { JobDefinition, PayloadOf } from "../define.ts";
import type { Client } from "../enqueue/client.ts";
import { Snoozed } from "../errors.ts";
import { misfit } from "../json.ts";
import { openResult } from "../payloads/payload.ts";
import type { Payloads } from "../payloads/seal.ts";
import { defineFlow, type NodeOptions } from "./define-flow.ts";
import { FlowError } from "./errors.ts";
import { newNode } from "./start.ts";

/** What its result schema makes of a stored result. */
export type ParsedResultOf<Definition extends JobDefinition> =
  NonNullable<Definition["result"]> extends infer Schema extends z.ZodType ? z.output<Schema> : unknown;

/** What became of a node. */
export type FlowOutcome<Definition extends JobDefinition> =
  | { readonly node: string; readonly state: "succeeded"; readonly result: ParsedResultOf<Definition> }
  | { readonly node: string; readonly state: Exclude<NodeState, "succeeded">; readonly reason: string | undefined };

export interface AddOptions<Definition extends JobDefinition, Compensation extends JobDefinition>
  extends Omit<NodeOptions<Definition, Compensation>, "after"> {
  /** Names of nodes of the flow that it comes after. */
  readonly after?: string | readonly string[];
  /** Add it inside your own transaction. */
  readonly tx?: RunSql;
}

/** The flow that a job belongs to, for its handler. Each method asks the ledger. */
export interface JobFlow {
  /** Undefined when the job belongs to no flow: then every method throws `FLOW_NONE`. */
  readonly id: string | undefined;
  /**
   * The result of a node that this one comes after, directly or not.
   * @throws FlowError `FLOW_RESULT_ABSENT` when it has none, `FLOW_NODE_UNKNOWN`; JobDataError `JOB_RESULT_INVALID`; PayloadError.
   */
  resultOf<Definition extends JobDefinition>(node: string, definition: Definition): Promise<ParsedResultOf<Definition>>;
  /** The same for nodes that may have failed. */
  outcomeOf<Definition extends JobDefinition>(node: string, definition: Definition): Promise<FlowOutcome<Definition>>;
  /** What became of the nodes of this definition that this one comes directly after, in the order of the flow. */
  parents<Definition extends JobDefinition>(definition: Definition): Promise<readonly FlowOutcome<Definition>[]>;
  /**
   * Adds a job to the flow while this one runs: whatever comes after this job waits for the new one as well. Adding the same name
   * again adds nothing, so a second attempt does no harm. Default name: this node's, a slash, the definition's, and a count.
   * @throws FlowError `FLOW_PARENT_UNKNOWN`, `FLOW_CYCLE`, `FLOW_NOT_RUNNING`; FencedError; as `enqueue`.
   */
  add<Definition extends JobDefinition, Compensation extends JobDefinition>(
    definition: Definition,
    payload: PayloadOf<Definition>,
    options?: AddOptions<Definition, Compensation>,
  ): Promise<AddedNode>;
  /**
   * Ends this attempt, without using one up, until all jobs that this one has added are finished; then the handler runs again, and this
   * answers what became of them. The worker is free meanwhile. Like `snooze`, it throws: do not catch it.
   */
  waitForChildren<Definition extends JobDefinition>(
    definition: Definition,
  ): Promise<readonly FlowOutcome<Definition>[]>;
}

export interface JobFlowOptions {
  readonly flows: Pick<Ledger["flows"], "outcomes" | "nodeOf" | "grow" | "growIn" | "park">;
  readonly flowId: string | undefined;
  readonly adder: Adder;
  readonly correlationId: string;
  readonly client: Pick<Client, "announce" | "prepare">;
  /** Opens results that are encrypted or stored elsewhere. */
  readonly payloads: Payloads;
}

export function createJobFlow({ flows, flowId, adder, correlationId, client, payloads }: JobFlowOptions): JobFlow {
  const counts = new Map<string, number>();

  function own(): string {
    if (flowId !== undefined) return flowId;
    throw new FlowError("FLOW_NONE", `job ${adder.id} does not belong to a flow`, { jobId: adder.id });
  }

  async function outcomeOf<Definition extends JobDefinition>(
    node: string,
    definition: Definition,
  ): Promise<FlowOutcome<Definition>> {
    const id = own();
    const [outcome] = await flows.outcomes(id, { node });
    if (outcome !== undefined) return typed(outcome, definition, payloads);
    throw new FlowError("FLOW_NODE_UNKNOWN", `flow ${id} has no node "${node}"`, { flowId: id, node });
  }

  /** The same in every attempt, as long as the handler adds in the same order. */
  async function nameFor(definition: JobDefinition): Promise<string> {
    const node = (await flows.nodeOf(adder.id)) ?? adder.id;
    const count = (counts.get(definition.name) ?? 0) + 1;
    counts.set(definition.name, count);
    return `${node}/${definition.name}${count === 1 ? "" : `-${count}`}`;
  }

  return {
    id: flowId,
    outcomeOf,
    async resultOf(node, definition) {
      const outcome = await outcomeOf(node, definition);
      if (outcome.state === "succeeded") return outcome.result;
      const why = outcome.state === "open" ? "is not finished" : `${outcome.state} (${outcome.reason ?? "unknown"})`;
      throw new FlowError("FLOW_RESULT_ABSENT", `node "${node}" has no result: it ${why}`, { flowId, node });
    },
    async parents(definition) {
      const outcomes = await flows.outcomes(own(), { parentsOf: adder.id });
      return ofDefinition(outcomes, definition, payloads);
    },
    async add(definition, payload, { after, tx, ...options } = {}) {
      const id = own();
      const name = options.name ?? (await nameFor(definition));
      // checked like a node of a flow of its own; the ledger knows what it may come after
      const [planned] = defineFlow("added", (flow) => void flow.job(definition, payload, { ...options, name })).nodes;
      if (planned === undefined) throw new RangeError("a flow of one node has none");
      const parents = after === undefined ? [] : typeof after === "string" ? [after] : after;
      const node = await newNode(
        id,
        { ...planned, after: parents },
        { correlationId, sendBy: tx ? "dispatcher" : "enqueuer", prepare: client.prepare },
      );
      const growth: Growth = { flowId: id, adder, nodes: [node] };
      const { nodes, ready } = await (tx === undefined ? flows.grow(growth) : flows.growIn(tx, growth));
      if (tx === undefined) client.announce(ready);
      const [added] = nodes;
      if (added === undefined) throw new RangeError("the ledger answered nothing for an added node");
      return added;
    },
    async waitForChildren(definition) {
      const id = own();
      // taken off this attempt in the ledger already: what is thrown only ends the handler
      if ((await flows.park({ flowId: id, adder })) === "parked") throw new Snoozed(0);
      return ofDefinition(await flows.outcomes(id, { childrenOf: adder.id }), definition, payloads);
    },
  };
}

function ofDefinition<Definition extends JobDefinition>(
  outcomes: readonly NodeOutcome[],
  definition: Definition,
  payloads: Payloads,
): Promise<readonly FlowOutcome<Definition>[]> {
  const own = outcomes.filter((outcome) => outcome.definition === definition.name);
  return Promise.all(own.map((outcome) => typed(outcome, definition, payloads)));
}

async function typed<Definition extends JobDefinition>(
  { name: node, jobId, definition: name, state, result, reason }: NodeOutcome,
  definition: Definition,
  payloads: Payloads,
): Promise<FlowOutcome<Definition>> {
  if (state !== "succeeded") return { node, state, reason };
  const opened = await openResult({ id: jobId, name, result }, payloads);
  const parsed = definition.result?.safeParse(opened);
  if (parsed?.success === false) throw misfit(`result of node "${node}"`, parsed.error, "JOB_RESULT_INVALID");
  return { node, state, result: (parsed === undefined ? opened : parsed.data) as ParsedResultOf<Definition> };
}
