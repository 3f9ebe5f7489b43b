import type { ErrorCode } from "@warren/contracts";
import { JobError } from "../errors.ts";

export type PayloadErrorCode = Extract<ErrorCode, `PAYLOAD_${string}`>;

/** May be right again without anybody doing anything. */
const passing: ReadonlySet<PayloadErrorCode> = new Set(["PAYLOAD_STORE_UNAVAILABLE"]);

/**
 * A payload or result could not be sealed or opened: keys (`PAYLOAD_KEY_…`, `PAYLOAD_SEAL_BROKEN`), object storage (`PAYLOAD_STORE_…`,
 * `PAYLOAD_OBJECT_…`). `retryable` only for `PAYLOAD_STORE_UNAVAILABLE`. Never holds payload data or keys.
 */
export class PayloadError extends JobError {
  constructor(
    code: PayloadErrorCode,
    message: string,
    options: { readonly details?: Readonly<Record<string, unknown>>; readonly cause?: unknown } = {},
  ) {
    super(code, message, { ...options, retryable: passing.has(code) });
  }
}
