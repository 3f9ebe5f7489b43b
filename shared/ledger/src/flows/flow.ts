import type { EnqueueResult, JobState, NewJob, SendableJob } from "../job.ts";

/** `stopping`: it has failed or was cancelled, and waits for its running jobs to end. The last five are ends. */
export type FlowState =
  | "running"
  | "stopping"
  | "compensating"
  | "succeeded"
  | "failed"
  | "compensated"
  | "compensation_failed"
  | "cancelled";

export type FlowCause = "failed" | "cancelled";

/**
 * What the failure (or the cancelling) of a node does. `fail`: the flow fails at once. `continue`: what comes after it is skipped,
 * other branches go on, and the flow fails at its end. `ignore`: what comes after it runs all the same, without its result.
 */
export type FailurePolicy = "fail" | "ignore" | "continue";

/** `open`: not finished. `skipped`: a node that it comes after failed. */
export type NodeState = "open" | "succeeded" | "failed" | "cancelled" | "skipped";

/** Everything of a job but what it is made of; the ledger adds the payload. */
export type JobTemplate = Omit<
  NewJob,
  "payload" | "id" | "key" | "flowId" | "blocked" | "linked" | "runAt" | "delayMs"
>;

export interface NewNode {
  /** Unique in its flow. */
  readonly name: string;
  readonly job: NewJob;
  readonly onFailure: FailurePolicy;
  /** Names of the nodes that it comes after. */
  readonly after: readonly string[];
  /** Starts as soon as one of those has failed, without waiting for the rest. */
  readonly startOnFailure: boolean;
  /** Undoes it when the flow fails or is cancelled later. Its payload: `{ payload, result, flow }`. */
  readonly compensation?: JobTemplate | undefined;
}

export interface NewFlow {
  readonly name: string;
  /** The same name and key is the same flow, as long as flows are kept. */
  readonly key?: string | undefined;
  readonly correlationId: string;
  readonly trace?: string | undefined;
  /** Acyclic, with known names only: the caller has checked. */
  readonly nodes: readonly NewNode[];
  /** Enqueued when the flow has ended. Its payload: `FlowEnd`. */
  readonly onFinished?: JobTemplate | undefined;
}

/** How a flow ended, as its `onFinished` job gets it. */
export interface FlowEnd {
  readonly flowId: string;
  readonly name: string;
  readonly key: string | null;
  readonly state: FlowState;
  readonly cause: FlowCause | null;
  readonly reason: string | null;
  readonly failedNode: string | null;
}

export interface StartedFlow {
  readonly id: string;
  /** `false`: a flow of this name and key exists, and nothing was written. */
  readonly created: boolean;
  readonly state: FlowState;
  /** Job ids by the names of their nodes. */
  readonly jobs: Readonly<Record<string, string>>;
  /** To be published by the caller, after the commit. */
  readonly ready: readonly SendableJob[];
}

export interface AddedNode extends EnqueueResult {
  readonly name: string;
}

export interface FlowRecord {
  readonly id: string;
  readonly name: string;
  readonly key: string | undefined;
  readonly state: FlowState;
  readonly cause: FlowCause | undefined;
  /** Why it failed or was cancelled: the code of the failed node, or the words of whoever cancelled it. */
  readonly reason: string | undefined;
  readonly failedNode: string | undefined;
  readonly stoppedBy: string | undefined;
  readonly runs: number;
  readonly correlationId: string;
  readonly createdAt: Date;
  readonly finishedAt: Date | undefined;
}

export interface FlowNode {
  readonly name: string;
  readonly jobId: string;
  readonly definition: string;
  readonly queue: string;
  /** Of an open node the state of its job. */
  readonly state: Exclude<NodeState, "open"> | JobState;
  readonly onFailure: FailurePolicy;
  readonly reason: string | undefined;
  /** Names of the nodes that it comes after. */
  readonly after: readonly string[];
  /** Name of the node that added it while it ran. */
  readonly addedBy: string | undefined;
  readonly compensation: { readonly state: UndoState; readonly jobId: string | undefined } | undefined;
  readonly finishedAt: Date | undefined;
}

/** `none`: it can be undone, and nobody has asked for it. */
export type UndoState = "none" | "waiting" | "started" | "done" | "failed";

/** What became of a node, for jobs that come after it. */
export interface NodeOutcome {
  readonly name: string;
  readonly jobId: string;
  readonly definition: string;
  readonly state: NodeState;
  readonly result: unknown;
  readonly reason: string | undefined;
}

/** What a step on a flow made of it. */
export interface Advanced {
  /** Unblocked jobs that a worker should hear of. */
  readonly ready: readonly SendableJob[];
  /** Running jobs that were asked to stop. */
  readonly cancelRequested: readonly string[];
}

/** Reasons of jobs that ended because their flow did. */
export const stopReasons = { failed: "FLOW_FAILED", cancelled: "FLOW_CANCELLED" } as const;
export const skippedReason = "FLOW_PARENT_FAILED";

export const endedStates: ReadonlySet<FlowState> = new Set([
  "succeeded",
  "failed",
  "compensated",
  "compensation_failed",
  "cancelled",
]);
