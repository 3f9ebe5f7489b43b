import type { Publisher } from "@warren/amqp";
import type { FlowCancelled, Ledger } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import { FlowError } from "../flows/errors.ts";
import { parseOptions } from "../options.ts";
import { hintCancels } from "./control-channel.ts";
import {
  type FlowCancelOptions,
  type FlowRetryOptions,
  flowCancelOptions,
  flowRetryOptions,
  jobId,
} from "./schemas.ts";

/** What people and other processes do to flows. */
export interface FlowControl {
  /**
   * Cancels what waits of a flow, stops what runs (the signal aborts within a second, or at the worker's next heartbeat while the broker
   * is away), and then undoes what is done. A flow that has ended or is unknown is an answer, not an error.
   * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`.
   */
  cancel(id: string, options: FlowCancelOptions): Promise<FlowCancelled>;
  /**
   * Runs again what failed of a flow, what was cancelled for it and what was skipped, or of the failed nodes only `nodes` with what
   * depends on them; answers the names of the nodes that run again. Of a flow whose compensation failed: goes on with that.
   * @throws FlowError `FLOW_NOT_FOUND`, `FLOW_NOT_RETRIABLE`, `FLOW_NODE_UNKNOWN`, `FLOW_PARENT_FAILED`, `FLOW_NODE_DISCARDED`,
   * `FLOW_HISTORY_GONE`; JobOptionError.
   */
  retry(id: string, options?: FlowRetryOptions): Promise<readonly string[]>;
}

export interface FlowControlDeps {
  readonly ledger: Pick<Ledger, "flows" | "control">;
  readonly publisher: Pick<Publisher, "publish"> | undefined;
  readonly log: Logger;
}

export function createFlowControl({ ledger, publisher, log }: FlowControlDeps): FlowControl {
  return {
    async cancel(given, options) {
      const id = jobId("flows.cancel", given);
      const why = parseOptions("flows.cancel", flowCancelOptions, options);
      const answer = await ledger.flows.cancel(id, why);
      // already asked to stop in the ledger: asking again only tells which workers run them
      if (answer.kind === "cancelled" && answer.cancelRequested.length > 0 && publisher !== undefined) {
        await hintCancels(publisher, await ledger.control.cancel(answer.cancelRequested, why), log);
      }
      return answer;
    },
    async retry(given, options = {}) {
      const id = jobId("flows.retry", given);
      const { nodes } = parseOptions("flows.retry", flowRetryOptions, options);
      const revived = await ledger.flows.retry(id, nodes);
      switch (revived.kind) {
        case "retried":
          return revived.nodes;
        case "refused":
          throw new FlowError(revived.code, revived.detail, { flowId: id });
        case "missing":
          throw new FlowError("FLOW_NOT_FOUND", `no flow ${id}: wrong id, or it was removed`, { flowId: id });
        default:
          return revived satisfies never;
      }
    },
  };
}
