import { type ErrorCode, WarrenError } from "@warren/contracts";

export type ProviderErrorCode = Extract<ErrorCode, `PROVIDER_${string}`>;

/**
 * What the provider may have done. `none`: certainly nothing, so even a call that cannot be repeated may be made again.
 * `unknown`: perhaps the call took effect and only its answer was lost.
 */
export type Effect = "none" | "unknown";

export interface ProviderErrorOptions {
  readonly provider: string;
  readonly operation: string;
  readonly cause?: unknown;
  /** How long the provider asked us to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
  /** Further facts for logs: a status, a provider's error code. Never bodies, never secrets. */
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What a provider answered, for callers that read its error body. Not among the details: it may hold anybody's data. */
export interface ProviderResponse {
  readonly status: number;
  /** The parsed JSON, else the text; cut off at the response limit. */
  readonly body: unknown;
}

/** Base of all failures of external calls. `retryable` = the same call may succeed later. */
export abstract class ProviderError extends WarrenError {
  declare readonly code: ProviderErrorCode;
  readonly provider: string;
  readonly operation: string;
  readonly effect: Effect;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ProviderErrorCode,
    message: string,
    options: ProviderErrorOptions & { readonly retryable: boolean; readonly effect: Effect },
  ) {
    super(code, `${options.provider}:${options.operation}: ${message}`, {
      retryable: options.retryable,
      cause: options.cause,
      details: {
        provider: options.provider,
        operation: options.operation,
        effect: options.effect,
        ...(options.retryAfterMs === undefined ? {} : { retryAfterMs: options.retryAfterMs }),
        ...options.details,
      },
    });
    this.provider = options.provider;
    this.operation = options.operation;
    this.effect = options.effect;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** No answer within the operation's timeout. */
export class ProviderTimeoutError extends ProviderError {
  constructor(timeoutMs: number, options: ProviderErrorOptions) {
    const details = { timeoutMs, ...options.details };
    super("PROVIDER_TIMEOUT", `no answer within ${timeoutMs} ms`, {
      ...options,
      details,
      retryable: true,
      effect: "unknown",
    });
  }
}

/** Not reached, or it failed. `effect` is `none` when the connection was never made. */
export class ProviderUnavailableError extends ProviderError {
  constructor(message: string, options: ProviderErrorOptions & { readonly effect: Effect }) {
    super("PROVIDER_UNAVAILABLE", message, { ...options, retryable: true });
  }
}

export class ProviderRateLimitedError extends ProviderError {
  constructor(options: ProviderErrorOptions) {
    super("PROVIDER_RATE_LIMITED", "too many calls", { ...options, retryable: true, effect: "none" });
  }
}

/** Refused for good. */
export class ProviderRejectedError extends ProviderError {
  readonly response: ProviderResponse | undefined;

  constructor(message: string, options: ProviderErrorOptions & { readonly response?: ProviderResponse }) {
    super("PROVIDER_REJECTED", message, { ...options, retryable: false, effect: "none" });
    this.response = options.response;
  }
}

/** Answered success with a body that we cannot read. The call may have taken effect, so it is never repeated here. */
export class ProviderResponseInvalidError extends ProviderError {
  constructor(message: string, options: ProviderErrorOptions) {
    super("PROVIDER_RESPONSE_INVALID", message, { ...options, retryable: false, effect: "unknown" });
  }
}

/** Not called: the breaker is open. `retryAfterMs` says when it may be tried. */
export class ProviderBreakerOpenError extends ProviderError {
  /** `provider:operation`, as in the ledger and the metrics. */
  readonly breaker: string;

  constructor(options: ProviderErrorOptions) {
    const breaker = `${options.provider}:${options.operation}`;
    const details = { breaker, ...options.details };
    super("PROVIDER_BREAKER_OPEN", "the breaker is open", { ...options, details, retryable: true, effect: "none" });
    this.breaker = breaker;
  }
}

/** Not called: too many calls are running and waiting. */
export class ProviderBulkheadFullError extends ProviderError {
  constructor(options: ProviderErrorOptions) {
    super("PROVIDER_BULKHEAD_FULL", "too many calls at once", { ...options, retryable: true, effect: "none" });
  }
}
