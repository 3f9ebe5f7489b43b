import type { ErrorCode } from "@warren/contracts";
import { JobError } from "../errors.ts";

export type EndpointErrorCode = Extract<ErrorCode, `ENDPOINT_${string}` | "DELIVERY_UNKNOWN" | "DELIVERY_NOT_FINISHED">;

/** An endpoint or delivery cannot be found, changed or used. */
export class EndpointError extends JobError {
  constructor(code: EndpointErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(code, message, options);
  }
}
