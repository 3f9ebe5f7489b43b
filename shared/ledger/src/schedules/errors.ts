import type { ErrorCode } from "@warren/contracts";
import { LedgerError } from "../errors.ts";

/** A schedule cannot be made, or is not there. `details` name the part that is wrong. */
export class ScheduleError extends LedgerError {
  constructor(
    code: Extract<ErrorCode, `SCHEDULE_${string}`>,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(code, message, { details });
  }
}
