import type { Deduplicated, JobState, Uniqueness } from "../job.ts";

/** The job that holds a key, as an enqueue of the same key finds it. */
export interface KeyHolder {
  /** `null`: history has dropped it. */
  readonly state: JobState | null;
  /** Whether a worker has ever started it. */
  readonly started: boolean;
  /** How long it holds the key; `expired`: a time, which is still running. */
  readonly until: "started" | "finished" | "expired";
}

/** What becomes of a job whose key another one holds. Pure. */
export function meet(unique: Pick<Uniqueness, "onConflict">, holder: KeyHolder): Deduplicated | "take_over" {
  const { state, started, until } = holder;
  if (state === null) return "take_over";
  const isUnfinished = state !== "succeeded" && state !== "dead" && state !== "cancelled";
  const holds = until === "expired" || (isUnfinished && (until === "finished" || !started));
  if (!holds) return "take_over";
  const waits = isUnfinished && !started;
  switch (unique.onConflict) {
    case "ignore":
      return "ignored";
    case "replace":
      return waits ? "replaced" : "ignored";
    case "extend":
      return waits ? "extended" : "ignored";
    case "keep-last":
      if (waits) return "replaced";
      return isUnfinished ? "kept" : "ignored";
    default:
      return unique.onConflict satisfies never;
  }
}
