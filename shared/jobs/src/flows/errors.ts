import type { ErrorCode } from "@warren/contracts";
import { JobError } from "../errors.ts";

/** A flow is made or used wrongly: `FLOW_CYCLE`, `FLOW_PARENT_UNKNOWN`, `FLOW_NODE_DUPLICATE`, … `details` name flow and node. */
export class FlowError extends JobError {
  constructor(
    code: Extract<ErrorCode, `FLOW_${string}`>,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(code, message, { details });
  }
}
