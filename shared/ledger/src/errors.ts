import { type ErrorCode, WarrenError, type WarrenErrorOptions } from "@warren/contracts";

/** Base of the ledger's errors. `details.sqlState` names Postgres's own code where there is one. */
export class LedgerError extends WarrenError {}

/** Postgres cannot be reached, shuts down, is out of resources, or did not answer in time. The same call may succeed later. */
export class LedgerUnavailableError extends LedgerError {
  constructor(message: string, options: Omit<WarrenErrorOptions, "retryable"> = {}) {
    super("LEDGER_UNAVAILABLE", message, { ...options, retryable: true });
  }
}

/** The ledger was closed. Retryable: another process can do what this one cannot any more, so a job that meets it is not dead. */
export class LedgerClosedError extends LedgerError {
  constructor(doing: string) {
    super("WARREN_CLOSED", `${doing}: the ledger is closed`, { retryable: true });
  }
}

/** Two transactions got in each other's way (deadlock, serialization failure). Run the whole transaction again. */
export class LedgerConflictError extends LedgerError {
  constructor(message: string, options: Omit<WarrenErrorOptions, "retryable"> = {}) {
    super("LEDGER_CONFLICT", message, { ...options, retryable: true });
  }
}

/** A value cannot be stored: U+0000 or a lone surrogate in a string, a number or a date out of range, a broken constraint. */
export class LedgerDataError extends LedgerError {
  constructor(message: string, options: Omit<WarrenErrorOptions, "retryable"> = {}) {
    super("LEDGER_DATA_INVALID", message, options);
  }
}

/** Postgres refused the statement itself: a missing right, table or column. */
export class LedgerStatementError extends LedgerError {
  constructor(message: string, options: Omit<WarrenErrorOptions, "retryable"> = {}) {
    super("LEDGER_STATEMENT_FAILED", message, options);
  }
}

export class LedgerSettingError extends LedgerError {
  constructor(message: string) {
    super("LEDGER_SETTING_INVALID", message);
  }
}

/** The database's schema and this binary do not fit together. */
export class LedgerSchemaError extends LedgerError {
  constructor(
    code: Extract<
      ErrorCode,
      "LEDGER_SCHEMA_NEWER" | "LEDGER_SCHEMA_BEHIND" | "LEDGER_MIGRATION_CHANGED" | "LEDGER_MIGRATION_FAILED"
    >,
    message: string,
    options: Omit<WarrenErrorOptions, "retryable"> = {},
  ) {
    super(code, message, options);
  }
}

/** The worker's lease is over (retired, or taken for dead): it may not claim under this id any more. */
export class WorkerEndedError extends LedgerError {
  constructor(workerId: string) {
    super("LEDGER_WORKER_ENDED", `worker ${workerId} has ended: register again under a new id`, {
      details: { workerId },
    });
  }
}

/** The job is no longer this attempt's to settle. Thrown inside the caller's transaction, so that its effects roll back. */
export class FencedError extends LedgerError {
  constructor(id: string, attempt: number) {
    super("JOB_FENCED", `attempt ${attempt} of job ${id} no longer owns it: nothing was settled`, {
      details: { jobId: id, attempt },
    });
  }
}

/** The job does not wait for its time: nothing was changed. `details.state` tells where it stands, or `missing`. */
export class NotWaitingError extends LedgerError {
  constructor(id: string, state: string | undefined) {
    const found = state === undefined ? "there is no such job" : `it is ${state}`;
    super("JOB_NOT_WAITING", `job ${id} does not wait for its time: ${found}`, {
      details: { jobId: id, state: state ?? "missing" },
    });
  }
}

const socketCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ECONNABORTED",
]);

/** Shutdown, recovery, too many connections, out of memory or disk, I/O, cancelled by a timeout, lock not available. */
const unavailableState = /^(08|53|57|58|55P03|25P03|25P04|XX)/;
const conflictState = /^40/;
/** Data exceptions, integrity violations, limits of rows and indexes. */
const dataState = /^(22|23|54)/;

/** Messages of pg that carry no code. A driver's text is all there is to tell these by. */
const lostConnection = /terminat|timeout|not queryable|connection error|closed the connection|after calling end/i;

function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** Turns what pg throws into a `LedgerError`; what is a `WarrenError` already passes. */
export function asLedgerError(error: unknown, doing: string): WarrenError {
  if (error instanceof WarrenError) return error;
  const code = codeOf(error);
  const text = error instanceof Error && error.message !== "" ? error.message : String(code ?? error);
  const message = `${doing}: ${text}`;
  if (code !== undefined && socketCodes.has(code)) {
    return new LedgerUnavailableError(message, { cause: error, details: { socket: code } });
  }
  if (code === undefined || code.length !== 5) {
    return lostConnection.test(text)
      ? new LedgerUnavailableError(message, { cause: error })
      : new LedgerStatementError(message, { cause: error });
  }
  const options = { cause: error, details: { sqlState: code } };
  if (unavailableState.test(code)) return new LedgerUnavailableError(message, options);
  if (conflictState.test(code)) return new LedgerConflictError(message, options);
  if (dataState.test(code)) return new LedgerDataError(message, options);
  return new LedgerStatementError(message, options);
}

/** Whether one item of a batch may be to blame, so that its neighbours deserve another try without it. */
export function mayBeOneItem(error: unknown): boolean {
  if (error instanceof LedgerDataError) return true;
  return error instanceof LedgerUnavailableError && error.details["sqlState"] === "55P03";
}
