import type { CodeEntries } from "./entry.ts";

/** Codes of job definitions, clients and workers. */
export const jobsCodes = {
  JOB_OPTION_UNKNOWN: {
    meaning: "A job definition, an enqueue or a worker was given an option that does not exist.",
    fix: "The message names the nearest known option; correct the spelling or remove it.",
  },
  JOB_OPTION_INVALID: {
    meaning: "An option of a job definition, an enqueue or a worker is out of range or of the wrong type.",
    fix: "The message names the option and what was expected.",
  },
  JOB_PAYLOAD_INVALID: {
    meaning: "The payload does not match the schema of the job definition.",
    fix: "The message names the path to the field; correct the caller, or the schema together with its version.",
  },
  JOB_PAYLOAD_UNSERIALISABLE: {
    meaning:
      "The payload cannot be written as JSON (a cycle, a BigInt, a character that JSON in Postgres cannot hold).",
    fix: "Enqueue plain data: strings without U+0000, numbers, booleans, null, arrays and objects.",
  },
  JOB_RESULT_INVALID: {
    meaning: "The handler returned a value that does not match the result schema of its job definition.",
    fix: "The message names the path to the field; correct the handler or the schema.",
  },
  JOB_RESULT_UNSERIALISABLE: {
    meaning: "The handler returned a value that cannot be written as JSON (a cycle, a BigInt).",
    fix: "Return plain data, or nothing.",
  },
  JOB_NOT_RETRYABLE: {
    meaning: "The handler threw a NonRetryableError: no further attempt can succeed.",
    fix: "Read the error's message and cause; correct the data and enqueue again.",
  },
  JOB_FAILED: {
    meaning: "The handler threw an error without a code of its own.",
    fix: "Read the message and the stack kept with the attempt.",
  },
  JOB_ATTEMPTS_EXHAUSTED: {
    meaning: "Every allowed attempt failed.",
    fix: "Read the errors kept with the job, mend the cause, and enqueue again or raise `attempts`.",
  },
  JOB_BACKOFF_STOPPED: {
    meaning: "The job's own backoff function answered that there shall be no further attempt.",
    fix: "Read the error of the last attempt.",
  },
  JOB_BACKOFF_FAILED: {
    meaning:
      "The job's own backoff function threw, or answered neither a delay nor `stop`; the default backoff was used.",
    fix: "Correct the function: it returns milliseconds from 0, or -1 or `stop`.",
  },
  JOB_TIMEOUT: {
    meaning: "The attempt ran longer than `timeoutMs`, its signal was aborted, and the handler gave up.",
    fix: "Make the work shorter or raise `timeoutMs`.",
  },
  JOB_HARD_TIMEOUT: {
    meaning: "The attempt ran longer than `hardTimeoutMs` and ignored its signal; it was given up while still running.",
    fix: "Pass `job.signal` to what the handler awaits; restart the worker if `warren_worker_abandoned_handlers` grows.",
  },
  JOB_UNKNOWN: {
    meaning: "No worker of the queue handles this job name and version, though it was offered to them for a long time.",
    fix: "Deploy a worker that handles it, then enqueue it again.",
  },
  JOB_LEASE_LOST: {
    meaning:
      "The worker did not beat for longer than its lease, so its jobs were given to others; the handler was aborted.",
    fix: "Look for a blocked event loop, a suspended process or a lost database connection on that worker.",
  },
  JOB_WORKER_STOPPING: {
    meaning:
      "The worker is shutting down and its time to finish is over; the job goes to another one, no attempt is lost.",
    fix: "Nothing; raise WARREN_SHUTDOWN_TIMEOUT_MS if handlers need longer to finish.",
  },
  JOB_COMPLETION_ROLLED_BACK: {
    meaning:
      "The handler completed its job inside a transaction that was then rolled back, and returned without an error.",
    fix: "Let the error that rolled the transaction back reach Warren; the job is retried.",
  },
  JOB_UNDELIVERABLE: {
    meaning: "Messages naming this job hit the broker's delivery limit again and again before any worker claimed it.",
    fix: "Look for workers that die on receiving it; enqueue it again when they are mended.",
  },
  JOB_CLAIMS_EXHAUSTED: {
    meaning: "The job was started `maxClaims` times and asked to be run later once more.",
    fix: "Look for a handler that snoozes without end, or raise `maxClaims`.",
  },
  JOB_BATCH_RESULT_MISSING: {
    meaning: "A batch handler answered without a result for this job; the attempt has failed.",
    fix: "Return one result for each job, in the order of the jobs: `Promise.allSettled(jobs.map(…))` does.",
  },
  JOB_THREAD_CRASHED: {
    meaning: "The thread that ran the job ended before the job did: an uncaught error, or `process.exit`.",
    fix: "Read the cause kept with the attempt; the next job has a new thread.",
  },
  JOB_THREAD_OUT_OF_MEMORY: {
    meaning: "The thread that ran the job used more heap than it may.",
    fix: "Raise `maxHeapMb`, or process the data in smaller parts.",
  },
  JOB_THREAD_HANDLER_INVALID: {
    meaning: "The file of a handler in a thread cannot be loaded, or does not export the handler.",
    fix: "The message says which; export a function named `run`, or name the export in the option `export`.",
  },
  JOB_TRANSACTION_MISSING: {
    meaning: "An adapter of a database library was given a pool or a client instead of a transaction.",
    fix: "Give it what the library passes to the body of its transaction; the message names the call.",
  },
  WORKER_STATE_INVALID: {
    meaning: "A worker or subscriber was started twice, or paused or resumed while it does not run.",
    fix: "Start each once, and pause and resume between `start` and `quiet`.",
  },
} as const satisfies CodeEntries;
