import { JobDataError } from "../errors.ts";
import { jsonText } from "../json.ts";

const mostProgressBytes = 16_384;

/** @throws JobDataError `JOB_PROGRESS_INVALID` unless it is JSON of at most 16 KiB. */
export function assertProgress(job: string, value: unknown): void {
  const what = `progress of ${job}`;
  let bytes = 0;
  try {
    bytes = Buffer.byteLength(jsonText(what, value, "JOB_RESULT_UNSERIALISABLE"));
  } catch (error) {
    const why = error instanceof Error ? error.message : what;
    throw new JobDataError("JOB_PROGRESS_INVALID", why, { cause: error });
  }
  if (value !== undefined && bytes <= mostProgressBytes) return;
  const got = value === undefined ? "nothing" : `${bytes} bytes`;
  throw new JobDataError(
    "JOB_PROGRESS_INVALID",
    `${what}: expected JSON of at most ${mostProgressBytes} bytes, got ${got}`,
  );
}

/** @throws JobDataError `JOB_PROGRESS_INVALID` unless it is text. */
export function assertNote(job: string, text: unknown): asserts text is string {
  if (typeof text === "string") return;
  throw new JobDataError("JOB_PROGRESS_INVALID", `a note of ${job}: expected text, got ${typeof text}`);
}
