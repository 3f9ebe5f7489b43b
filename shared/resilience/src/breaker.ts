import {
  BrokenCircuitError,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhen,
  type IHalfOpenAfterBackoffContext,
} from "cockatiel";
import { ProviderError } from "./provider-error.ts";
import { type RatioOptions, RatioThreshold } from "./ratio-threshold.ts";

/** A breaker's state; times are wall clock, since they are shared with other processes through the ledger. */
export type BreakerState =
  | { readonly kind: "closed" }
  | { readonly kind: "open"; readonly openedAt: Date; readonly retryAt: Date }
  | { readonly kind: "half_open" };

export interface BreakerOptions {
  /** How long it stays open before one call may try, in milliseconds. A longer `Retry-After` of the provider is waited for. */
  readonly halfOpenAfterMs: number;
  /** Each failed trial doubles the wait up to this. Default: `halfOpenAfterMs`, a constant wait. */
  readonly maxHalfOpenAfterMs?: number;
  /**
   * When it opens: after so many failures in a row, or when more than a share of the calls within a sliding window failed, given
   * at least `minimumPerSecond` calls.
   */
  readonly threshold:
    | { readonly kind: "consecutive"; readonly failures: number }
    | ({ readonly kind: "ratio" } & RatioOptions);
}

/** The provider answered, and the answer was no. For the breaker that is good news: it is carried out as a value. */
interface Refused {
  readonly refusal: ProviderError;
}

/** The caller went away. It says nothing about the provider: neutral, except that a trial without a result proves no recovery. */
export class CallerGone extends Error {
  override readonly name = "CallerGone";
  readonly reason: unknown;
  constructor(reason: unknown) {
    super("the caller aborted the call");
    this.reason = reason;
  }
}

export interface Breaker {
  state(): BreakerState;
  /** Whether a call would be refused now: open and not yet time, or a trial is under way. */
  refuses(): boolean;
  /**
   * Runs `fn` and learns from it; throws what `refuse` makes when it is open. Ask `refuses` first: cockatiel makes further calls wait
   * for the outcome of a half-open trial, and a call that waits holds a slot of a worker.
   */
  run<T>(fn: () => Promise<T>, refuse: () => Error): Promise<T>;
}

/** Failures that say the provider is unwell. Refusals say it is well; errors of our own code say nothing. */
function isOutage(error: unknown): error is ProviderError {
  if (!(error instanceof ProviderError)) return false;
  return (
    error.code === "PROVIDER_TIMEOUT" || error.code === "PROVIDER_UNAVAILABLE" || error.code === "PROVIDER_RATE_LIMITED"
  );
}

/**
 * A cockatiel breaker with its state as a value. It reads the wall clock (cockatiel takes no other), so tests use fake timers.
 */
export function createBreaker(options: BreakerOptions, onChange: (state: BreakerState) => void): Breaker {
  let waitMs = options.halfOpenAfterMs;
  const maxWaitMs = options.maxHalfOpenAfterMs ?? options.halfOpenAfterMs;
  const halfOpenAfter = new DelegateBackoff<IHalfOpenAfterBackoffContext>(({ attempt, result }) => {
    const cause = "error" in result ? result.error : undefined;
    const asked = cause instanceof ProviderError ? (cause.retryAfterMs ?? 0) : 0;
    waitMs = Math.max(Math.min(options.halfOpenAfterMs * 2 ** (attempt - 1), maxWaitMs), asked);
    return waitMs;
  });
  const threshold = options.threshold;
  const policy: CircuitBreakerPolicy = circuitBreaker(
    handleWhen((error) => isOutage(error) || (error instanceof CallerGone && policy.state === CircuitState.HalfOpen)),
    {
      halfOpenAfter,
      breaker:
        threshold.kind === "consecutive" ? new ConsecutiveBreaker(threshold.failures) : new RatioThreshold(threshold),
    },
  );
  let state: BreakerState = { kind: "closed" };
  policy.onStateChange((circuit) => {
    state = read(circuit, waitMs);
    onChange(state);
  });
  const refuses = () => {
    if (policy.state === CircuitState.HalfOpen) return true;
    return state.kind === "open" && Date.now() < state.retryAt.getTime();
  };
  return {
    state: () => state,
    refuses,
    async run<T>(fn: () => Promise<T>, refuse: () => Error): Promise<T> {
      let outcome: { readonly value: T } | Refused;
      try {
        outcome = await policy.execute(() => refusalsAsValues(fn));
      } catch (error) {
        throw error instanceof BrokenCircuitError ? refuse() : error;
      }
      if ("refusal" in outcome) throw outcome.refusal;
      return outcome.value;
    },
  };
}

async function refusalsAsValues<T>(fn: () => Promise<T>): Promise<{ readonly value: T } | Refused> {
  try {
    return { value: await fn() };
  } catch (error) {
    if (error instanceof ProviderError && !isOutage(error)) return { refusal: error };
    throw error;
  }
}

function read(circuit: CircuitState, waitMs: number): BreakerState {
  switch (circuit) {
    case CircuitState.Closed:
      return { kind: "closed" };
    case CircuitState.HalfOpen:
      return { kind: "half_open" };
    case CircuitState.Open:
    case CircuitState.Isolated: {
      const openedAt = new Date();
      return { kind: "open", openedAt, retryAt: new Date(openedAt.getTime() + waitMs) };
    }
    default:
      return circuit satisfies never;
  }
}
