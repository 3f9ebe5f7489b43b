/**
 * The catalogue of error codes: what each means and what to do about it. Every thrown error of Warren carries one of them;
 * the HTTP API repeats it in `problem+json`, the ledger keeps it with a failed attempt.
 */
export const errorCatalogue = {
  CONFIG_INVALID: {
    meaning: "A setting from the environment is missing or malformed.",
    fix: "The message names the variable and the expected form; set it and start again.",
  },
  INTERNAL: {
    meaning: "An unexpected failure inside Warren.",
    fix: "Read the cause in the log under the same correlation id and report it.",
  },
} as const satisfies Record<string, { readonly meaning: string; readonly fix: string }>;

export type ErrorCode = keyof typeof errorCatalogue;

export interface WarrenErrorOptions {
  /** Whether the same call may succeed later without a change. Default `false`. */
  readonly retryable?: boolean;
  /** Facts for logs and clients; never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Base of every error that Warren throws on purpose. Decide on `code`, never on `message`. */
export class WarrenError extends Error {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: WarrenErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retryable = options.retryable === true;
    this.details = options.details ?? {};
  }
}
