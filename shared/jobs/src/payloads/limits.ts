import type { ErrorCode } from "@warren/contracts";
import { JobDataError, JobOptionError } from "../errors.ts";

/** The most bytes of JSON that a row of the ledger may hold as payload or result; larger ones belong into the payload store. */
export const largestInlineBytes = 1_048_576;
/** The most bytes of one object in the payload store. */
export const largestObjectBytes = 67_108_864;
export const defaultMaxBytes = 262_144;

type TooLarge = Extract<ErrorCode, "JOB_PAYLOAD_TOO_LARGE" | "JOB_RESULT_TOO_LARGE">;

/** No UTF-16 code unit takes more bytes in UTF-8 than this. */
const mostBytesPerUnit = 3;

/** Whether the text takes more than `limit` bytes in UTF-8. Short texts are not measured. */
export function exceeds(text: string, limit: number): boolean {
  return text.length * mostBytesPerUnit > limit && Buffer.byteLength(text) > limit;
}

/** @throws JobDataError `JOB_PAYLOAD_TOO_LARGE`, `JOB_RESULT_TOO_LARGE` with `details.bytes` and `details.limit`. */
export function assertSize(name: string, column: "payload" | "result", text: string, limit: number): void {
  if (!exceeds(text, limit)) return;
  const bytes = Buffer.byteLength(text);
  const option = column === "payload" ? "maxPayloadBytes" : "maxResultBytes";
  const code: TooLarge = column === "payload" ? "JOB_PAYLOAD_TOO_LARGE" : "JOB_RESULT_TOO_LARGE";
  throw new JobDataError(
    code,
    `the ${column} of ${name} takes ${bytes} bytes as JSON, and its "${option}" is ${limit}: pass a reference instead, or raise "${option}" and set "offloadAboveBytes", so that large ones go to the payload store`,
    { details: { bytes, limit } },
  );
}

export interface SizeOptions {
  readonly maxPayloadBytes: number;
  readonly maxResultBytes: number;
  readonly offloadAboveBytes: number | undefined;
}

/** A row never grows past `largestInlineBytes`, whatever a definition says. @throws JobOptionError `JOB_OPTION_INVALID`. */
export function assertSizeOptions(what: string, options: SizeOptions): void {
  for (const path of ["maxPayloadBytes", "maxResultBytes"] as const) {
    if (options[path] <= largestInlineBytes || options.offloadAboveBytes !== undefined) continue;
    throw new JobOptionError(
      "JOB_OPTION_INVALID",
      `${what}: "${path}": more than ${largestInlineBytes} bytes do not go into the ledger; set "offloadAboveBytes" too, so that they go to the payload store`,
      { details: { path } },
    );
  }
}
