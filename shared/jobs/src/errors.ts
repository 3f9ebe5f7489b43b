import { type ErrorCode, WarrenError, type WarrenErrorOptions } from "@warren/contracts";

/** What jobs and workers throw. Decide on `code`. */
export class JobError extends WarrenError {}

/** Used after it was closed. Retryable: another process can do what this one cannot any more, so a job that meets it is not dead. */
export class ClosedError extends JobError {
  constructor(what: string) {
    super("WARREN_CLOSED", `${what} is closed`, { retryable: true });
  }
}

/** A definition, an enqueue or a worker was given a wrong option: `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`. `details.path` names it. */
export class JobOptionError extends JobError {}

/** A payload or result does not fit: `JOB_PAYLOAD_INVALID`, `JOB_RESULT_INVALID`, `EVENT_DATA_INVALID` (with `details.path`), `…_UNSERIALISABLE`. */
export class JobDataError extends JobError {}

export interface NonRetryableOptions extends Omit<WarrenErrorOptions, "retryable"> {
  /** Why, as a code of your own for the dead letter: `CARD_STOLEN`. Default `JOB_NOT_RETRYABLE`. */
  readonly reason?: string;
}

const reasonForm = /^[A-Z][A-Z0-9_]{0,99}$/;

/**
 * Throw it from a handler when no further attempt can succeed: the job is dead at once, the remaining attempts unused, with `reason`.
 * A reason that is no code (capitals, digits, underscores) is replaced by the default.
 */
export class NonRetryableError extends JobError {
  readonly reason: string;

  constructor(message: string, options: NonRetryableOptions = {}) {
    super("JOB_NOT_RETRYABLE", message, options);
    const { reason = this.code } = options;
    this.reason = reasonForm.test(reason) ? reason : this.code;
  }
}

/**
 * The reason with which the signal of an attempt aborts: `JOB_TIMEOUT`, `JOB_HARD_TIMEOUT`, `JOB_LEASE_LOST`, `JOB_WORKER_STOPPING`, `JOB_CANCELLED`
 * (with `details.by` and `details.reason`); of an event:
 * `EVENT_TIMEOUT`, `SUBSCRIBER_STOPPING`.
 */
export class JobAbortedError extends JobError {
  declare readonly code: AbortCode;

  constructor(code: AbortCode, message: string, details: Readonly<Record<string, unknown>> = {}) {
    super(code, message, { retryable: true, details });
  }
}

export type AbortCode = Extract<
  ErrorCode,
  | "JOB_TIMEOUT"
  | "JOB_HARD_TIMEOUT"
  | "JOB_LEASE_LOST"
  | "JOB_WORKER_STOPPING"
  | "JOB_CANCELLED"
  | "EVENT_TIMEOUT"
  | "SUBSCRIBER_STOPPING"
>;

/** Thrown by `snooze`; not a failure. It passes through the handler like an exception, so that nothing after it runs. */
export class Snoozed extends Error {
  readonly delayMs: number;

  constructor(delayMs: number) {
    super(`snoozed for ${delayMs} ms`);
    this.name = "Snoozed";
    this.delayMs = delayMs;
  }
}

const longestSnoozeMs = 366 * 24 * 3_600_000;

/**
 * Ends this attempt and runs the job again after `delayMs` (0 to 366 days), without using up an attempt. Call it from a handler; it throws.
 * @throws JobOptionError `JOB_OPTION_INVALID` when the delay is negative, NaN or too long (a failed attempt, not a snooze).
 */
export function snooze(delayMs: number): never {
  if (!(delayMs >= 0 && delayMs <= longestSnoozeMs)) {
    throw new JobOptionError("JOB_OPTION_INVALID", `snooze: expected 0 to ${longestSnoozeMs} ms, got ${delayMs}`, {
      details: { path: "delayMs" },
    });
  }
  throw new Snoozed(Math.round(delayMs));
}
