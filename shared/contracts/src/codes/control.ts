import type { CodeEntries } from "./entry.ts";

/** Codes of what people do to jobs. */
export const controlCodes = {
  JOB_CANCELLED: {
    meaning: "Somebody cancelled the job; while it ran, its signal was aborted with this code.",
    fix: "Nothing, if that was meant: the job says by whom and why. A cancelled job can be retried.",
  },
  JOB_NOT_FOUND: {
    meaning: "The ledger knows no job of this id.",
    fix: "Check the id; the history of finished jobs is kept for WARREN_RETENTION_DAYS.",
  },
  JOB_UNFINISHED: {
    meaning: "The job waits or runs, so that there is nothing to retry or to discard.",
    fix: "Wait for its end, or cancel it first.",
  },
  JOB_HAS_SUCCEEDED: {
    meaning: "The job has succeeded; only dead and cancelled jobs can be retried or discarded.",
    fix: "Enqueue a new job if the work shall be done once more.",
  },
  JOB_DISCARDED: {
    meaning: "The job was discarded: somebody has decided that it shall not run again.",
    fix: "Restore it first (`control.restore`, `warren job restore`), then retry it.",
  },
  JOB_KEY_TAKEN: {
    meaning: "Another job of the same work holds the unique key of this one.",
    fix: "Wait for that job, cancel it, or let its key go with `releaseUnique`; then retry.",
  },
  JOB_WAIT_TIMEOUT: {
    meaning: "The job had not finished when the time to wait for it was over. It goes on.",
    fix: "Wait longer, or look at it later with `control.result(id)`. If it stays `ready`, see whether a worker takes its queue: `npm run warren -- queue list`.",
  },
  JOB_DEAD: {
    meaning: "The job that was waited for is dead.",
    fix: "The error's details hold the reason and the last error; mend the cause and retry the job.",
  },
  JOB_RESULT_EXPIRED: {
    meaning: "The job has succeeded, and its result was kept only for as long as `resultTtlMs` says.",
    fix: "Read results sooner, or raise `resultTtlMs` of the job definition.",
  },
  JOB_PROGRESS_INVALID: {
    meaning: "Progress or a note of a job cannot be kept: it is no JSON, or too large.",
    fix: "Report plain data of at most 16 KiB; keep what is larger elsewhere and report where.",
  },
  WATCH_NEEDS_SESSION: {
    meaning: "What jobs do is told through the broker, and the control was opened without a session.",
    fix: "Give `createControl` a session, or look at jobs with `control.job` and `control.list`.",
  },
  BULK_NOT_FOUND: {
    meaning: "The ledger knows no bulk operation of this id.",
    fix: "`warren bulk list` shows them all.",
  },
  BULK_FINISHED: {
    meaning: "The bulk operation is done or aborted, so that it cannot be paused, resumed or aborted.",
    fix: "Nothing; make another one for jobs that match now.",
  },
} as const satisfies CodeEntries;
