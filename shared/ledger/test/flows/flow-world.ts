import {
  type FlowNode,
  type FlowRecord,
  type JobTemplate,
  type NewFlow,
  type NewNode,
  newId,
  type Outcome,
  type StartedFlow,
} from "@warren/ledger";
import { aJob, type LedgerWorld, openLedgerWorld } from "../support/ledger-world.ts";

type Spec = Partial<Omit<NewNode, "name" | "job">> & { readonly job?: Partial<NewNode["job"]> };

/** A flow from names to what they come after, or more about them. */
export function aFlow(nodes: Readonly<Record<string, readonly string[] | Spec>>, more: Partial<NewFlow> = {}): NewFlow {
  return {
    name: "test",
    correlationId: "flow",
    nodes: Object.entries(nodes).map(([name, given]) => {
      const { job, ...spec }: Spec = Array.isArray(given) ? { after: given as readonly string[] } : (given as Spec);
      return {
        name,
        job: aJob({ payload: { node: name }, ...job }),
        onFailure: "fail",
        after: [],
        startOnFailure: false,
        ...spec,
      };
    }),
    ...more,
  };
}

/** What undoes a node in tests. */
export const undo: JobTemplate = {
  queue: "undo",
  name: "test.undo",
  version: 1,
  maxAttempts: 1,
  maxStalls: 0,
  correlationId: "flow",
  sendBy: "dispatcher",
};

const failure = { code: "TEST", message: "for the test" };
export const failed: Outcome = { kind: "dead", reason: "TEST", error: failure };
export const done = (result: unknown = "ok"): Outcome => ({ kind: "succeeded", result });

export interface FlowWorld extends AsyncDisposable {
  readonly world: LedgerWorld;
  readonly ledger: LedgerWorld["ledger"];
  readonly workerId: string;
  /** Claims the node's job and settles it. */
  end(flow: StartedFlow, node: string, outcome: Outcome): Promise<void>;
  /** Claims a job; throws if it cannot be claimed. */
  claim(id: string): Promise<{ readonly id: string; readonly attempt: number; readonly workerId: string }>;
  settle(claimed: { readonly id: string; readonly attempt: number }, outcome: Outcome): Promise<string>;
  /** States of all nodes by name. */
  states(flow: { readonly id: string }): Promise<Readonly<Record<string, FlowNode["state"]>>>;
  flow(flow: { readonly id: string }): Promise<FlowRecord>;
  /** Runs the compensation under way, and answers the node that it undoes. */
  undoNext(flow: { readonly id: string }, outcome?: Outcome): Promise<string | undefined>;
  signals(): Promise<number>;
}

export async function openFlowWorld(): Promise<FlowWorld> {
  const world = await openLedgerWorld();
  const { ledger } = world;
  const workerId = newId();
  await ledger.registerWorker({ id: workerId, host: "test", pid: 1, version: "0", queues: [], concurrency: 1 });
  const claim: FlowWorld["claim"] = async (id) => {
    const [claimed] = await ledger.claim({ workerId, ids: [id] });
    if (claimed === undefined) throw new Error(`not claimed: ${(await ledger.findJob(id))?.state}`);
    return { id, attempt: claimed.attempt, workerId };
  };
  const settle: FlowWorld["settle"] = ({ id, attempt }, outcome) =>
    ledger.settle({ id, attempt, workerId, outcome, linked: true });
  return {
    world,
    ledger,
    workerId,
    claim,
    settle,
    async end(flow, node, outcome) {
      await settle(await claim(flow.jobs[node]!), outcome);
    },
    async states({ id }) {
      return Object.fromEntries((await ledger.flows.tree(id)).map(({ name, state }) => [name, state]));
    },
    async flow({ id }) {
      return (await ledger.flows.find(id))!;
    },
    async undoNext({ id }, outcome = done()) {
      const next = (await ledger.flows.tree(id)).find((node) => node.compensation?.state === "started");
      if (next?.compensation?.jobId === undefined) return undefined;
      await settle(await claim(next.compensation.jobId), outcome);
      return next.name;
    },
    async signals() {
      const { rows } = await ledger.query(`select 1 from ${ledger.table("flow_signals")}`, []);
      return rows.length;
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}
