import type { CodeEntries } from "./entry.ts";

/** Codes of flows. */
export const flowsCodes = {
  FLOW_CYCLE: {
    meaning: "Jobs of a flow wait for each other in a circle, so that none of them could ever start.",
    fix: "The message names the circle; remove one of its `after`.",
  },
  FLOW_PARENT_UNKNOWN: {
    meaning: "A job of a flow shall run after a node that the flow does not have.",
    fix: "The message names the nearest node; correct the name, or add the node to this flow.",
  },
  FLOW_NODE_DUPLICATE: {
    meaning: "Two nodes of a flow were given the same name.",
    fix: "Give each node a name of its own, or none: then it is named after its job.",
  },
  FLOW_NODE_UNKNOWN: {
    meaning: "The flow has no node of this name.",
    fix: "The message names the nearest node; `warren flow show <id>` lists them all.",
  },
  FLOW_TOO_LARGE: {
    meaning: "The flow has more nodes or dependencies than a flow may have.",
    fix: "Split it: let a node start another flow, or add children while it runs; join wide groups by one node between them.",
  },
  FLOW_OPTION_INVALID: {
    meaning: "An option of a flow or of one of its nodes is unknown, out of range, or of the wrong type.",
    fix: "The message names the node, the option and what was expected.",
  },
  FLOW_RESULT_ABSENT: {
    meaning: "The node has no result: it failed and that is ignored, or it is not finished.",
    fix: "Use `outcomeOf` for nodes that may fail; read only results of nodes that this one comes after.",
  },
  FLOW_NONE: {
    meaning: "A handler asked for its flow, but its job does not belong to one.",
    fix: "Start the job as part of a flow, or check `job.flow.id` first.",
  },
  FLOW_NOT_RUNNING: {
    meaning: "Jobs cannot be added to this flow: it has ended, it is stopping, or it does not exist.",
    fix: "Nothing; the flow failed or was cancelled meanwhile. Start another flow for work that must be done all the same.",
  },
  FLOW_NOT_FOUND: {
    meaning: "There is no flow of this id.",
    fix: "Check the id (`warren flow list`); a removed flow is gone with its jobs.",
  },
  FLOW_NOT_RETRIABLE: {
    meaning: "The flow cannot be retried as it stands: it is under way, has succeeded, or its steps were undone.",
    fix: "Wait for it to end; start a new flow where its steps were undone.",
  },
  FLOW_NODE_DISCARDED: {
    meaning: "A job of the flow that would have to run again was discarded.",
    fix: "The message names its node; restore the job (`control.restore`, `warren job restore`), or retry other nodes by their names.",
  },
  FLOW_HISTORY_GONE: {
    meaning: "Jobs of the flow are past the retention of history, so that they cannot be run again.",
    fix: "Start a new flow, or raise WARREN_RETENTION_DAYS.",
  },
  FLOW_NOT_REMOVABLE: {
    meaning: "The flow is under way; removing it would leave running jobs behind.",
    fix: "Cancel it and wait until it has ended.",
  },
  FLOW_FAILED: {
    meaning: "The job was cancelled because another job of its flow failed.",
    fix: "Read the failed node of the flow, mend the cause, and retry the flow.",
  },
  FLOW_CANCELLED: {
    meaning: "The job was cancelled together with its flow.",
    fix: "Nothing, if that was meant; a cancelled flow can be retried.",
  },
  FLOW_PARENT_FAILED: {
    meaning:
      "The job was skipped, or would only be skipped again, because a job that it waits for failed or was skipped.",
    fix: "Mend the cause and retry the failed job or the flow, or mark the failed node `ignore` if this job can do without it.",
  },
} as const satisfies CodeEntries;
