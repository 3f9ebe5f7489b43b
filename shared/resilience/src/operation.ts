import {
  BulkheadRejectedError,
  bulkhead,
  DelegateBackoff,
  handleWhen,
  type IRetryBackoffContext,
  type RetryPolicy,
  retry,
  TaskCancelledError,
  TimeoutStrategy,
  timeout,
} from "cockatiel";
import { type BreakerOptions, type BreakerState, CallerGone, createBreaker } from "./breaker.ts";
import { classifyNetworkError } from "./classify.ts";
import {
  ProviderBreakerOpenError,
  ProviderBulkheadFullError,
  ProviderError,
  type ProviderErrorOptions,
  ProviderTimeoutError,
} from "./provider-error.ts";

export interface RetryOptions {
  /** How many times the call is made at most, the first included; 1 = never again. */
  readonly attempts: number;
  /** The wait before the second attempt, doubled for each further one and spread evenly over its upper half. Milliseconds. */
  readonly baseDelayMs: number;
  /** The longest wait here. A provider that asks for more gets its call back as an error with `retryAfterMs`: jobs wait cheaper than calls. */
  readonly maxDelayMs: number;
  /**
   * Whether making the call twice does no harm (it reads, or carries an idempotency key). If not, it is made again only when the
   * provider certainly did nothing. A call may say otherwise for itself.
   */
  readonly safe: boolean;
}

export interface OperationOptions {
  /** Short and stable: `smtp:send`'s `send`. Names the breaker together with the provider. */
  readonly name: string;
  /** For one attempt, answer and body included; the wait for a free slot does not count. */
  readonly timeoutMs: number;
  /** How many calls run at once in this process, and how many may wait. */
  readonly bulkhead: { readonly concurrent: number; readonly queued: number };
  readonly breaker: BreakerOptions;
  readonly retry: RetryOptions;
  /** Turns errors of the provider's client library into ProviderErrors. What it leaves is looked at as a network error. */
  readonly classify?: (error: unknown, facts: ProviderErrorOptions) => unknown;
}

export interface Attempt {
  /** Aborted at the timeout or when the caller goes away. */
  readonly signal: AbortSignal;
  /** From 1. */
  readonly attempt: number;
  /** The same in every attempt of one call. */
  readonly idempotencyKey: string;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Give the job's id or the delivery's, so that the key also survives the job's next attempt. Default: a random one per call. */
  readonly idempotencyKey?: string | undefined;
  /** Overrides `retry.safe` for this call. */
  readonly safe?: boolean | undefined;
}

/** One kind of call to one provider, with its own bulkhead and breaker. */
export interface Operation {
  readonly provider: string;
  readonly name: string;
  /** `provider:operation`. */
  readonly breaker: string;
  readonly timeoutMs: number;
  /**
   * Makes the call.
   * @throws ProviderError when the provider failed or was not asked; the signal's reason when the caller went away; what `fn` threw otherwise
   */
  call<T>(fn: (attempt: Attempt) => Promise<T>, options?: CallOptions): Promise<T>;
  state(): BreakerState;
}

/** What an operation needs from its surroundings. */
export interface OperationContext {
  readonly provider: string;
  readonly random: () => number;
  readonly newKey: () => string;
  readonly onBreakerChange: (breaker: string, state: BreakerState) => void;
  /** Called around each attempt that is really made. */
  readonly observe: <T>(operation: string, run: () => Promise<T>) => Promise<T>;
  readonly onRetry: (operation: string, facts: { attempt: number; delayMs: number; error: unknown }) => void;
  /** A call that was not made. */
  readonly onRefused: (operation: string, error: ProviderError) => void;
}

/**
 * Composes the policies of an operation. From the inside out: **timeout** around one attempt; the **breaker** around it, so that
 * each attempt is judged; the **bulkhead** around both, so that a call which waited for its slot meets the breaker as it is then, not as it
 * was (and so that being turned away for want of a slot never counts as a failure, or as a recovery, of the provider); **retry**
 * around all, so that the wait between attempts holds no slot and an open breaker ends the retrying.
 */
export function createOperation(options: OperationOptions, context: OperationContext): Operation {
  const breakerName = `${context.provider}:${options.name}`;
  const facts: ProviderErrorOptions = { provider: context.provider, operation: options.name };
  const breaker = createBreaker(options.breaker, (state) => context.onBreakerChange(breakerName, state));
  const slots = bulkhead(options.bulkhead.concurrent, options.bulkhead.queued);
  const limit = timeout(options.timeoutMs, { strategy: TimeoutStrategy.Aggressive, abortOnReturn: false });
  const policies = { safe: retryPolicy(options, context, true), unsafe: retryPolicy(options, context, false) };

  const refuse = () => {
    const state = breaker.state();
    const retryAfterMs = state.kind === "open" ? Math.max(0, state.retryAt.getTime() - Date.now()) : options.timeoutMs;
    const error = new ProviderBreakerOpenError({ ...facts, retryAfterMs });
    context.onRefused(options.name, error);
    return error;
  };

  /** One attempt: what leaves here is a ProviderError, CallerGone, or a mistake of our own. */
  async function attemptOnce<T>(
    fn: (attempt: Attempt) => Promise<T>,
    key: string,
    attempt: number,
    caller: AbortSignal,
  ) {
    if (breaker.refuses()) throw refuse();
    return slots.execute(
      () => breaker.run(() => context.observe(options.name, () => timed(fn, key, attempt, caller)), refuse),
      caller,
    );
  }

  async function timed<T>(
    fn: (attempt: Attempt) => Promise<T>,
    key: string,
    attempt: number,
    caller: AbortSignal,
  ): Promise<T> {
    try {
      return await limit.execute(({ signal }) => fn({ signal, attempt, idempotencyKey: key }), caller);
    } catch (error) {
      if (caller.aborted) throw new CallerGone(caller.reason);
      if (error instanceof TaskCancelledError) throw new ProviderTimeoutError(options.timeoutMs, facts);
      throw classifyNetworkError(options.classify?.(error, facts) ?? error, facts);
    }
  }

  return {
    provider: context.provider,
    name: options.name,
    breaker: breakerName,
    timeoutMs: options.timeoutMs,
    state: () => breaker.state(),
    async call(fn, callOptions = {}) {
      const caller = callOptions.signal ?? neverAborted;
      caller.throwIfAborted();
      const key = callOptions.idempotencyKey ?? context.newKey();
      const policy = (callOptions.safe ?? options.retry.safe) ? policies.safe : policies.unsafe;
      const outcome = policy.execute(async ({ attempt }) => {
        if (caller.aborted) throw new CallerGone(caller.reason);
        return attemptOnce(fn, key, attempt + 1, caller);
      });
      try {
        return await unlessAborted(outcome, caller);
      } catch (error) {
        if (caller.aborted && (error instanceof CallerGone || error instanceof TaskCancelledError)) throw caller.reason;
        if (error instanceof CallerGone) throw error.reason;
        if (!(error instanceof BulkheadRejectedError)) throw error;
        const full = new ProviderBulkheadFullError({ ...facts, details: { ...options.bulkhead } });
        context.onRefused(options.name, full);
        throw full;
      }
    },
  };
}

const neverAborted = new AbortController().signal;

/** Whether an attempt may follow this error. Breaker and bulkhead refused for a while: the job waits, not the call. */
export function mayRetry(error: unknown, safe: boolean, maxDelayMs: number): boolean {
  if (!(error instanceof ProviderError) || !error.retryable) return false;
  if (error.code === "PROVIDER_BREAKER_OPEN" || error.code === "PROVIDER_BULKHEAD_FULL") return false;
  if (error.retryAfterMs !== undefined && error.retryAfterMs > maxDelayMs) return false;
  return safe || error.effect === "none";
}

/** The wait before the next attempt: exponential, the upper half random, never shorter than the provider asked for. */
export function retryDelayMs(
  retry: Pick<RetryOptions, "baseDelayMs" | "maxDelayMs">,
  failedAttempts: number,
  retryAfterMs: number | undefined,
  random: () => number,
): number {
  const full = Math.min(retry.maxDelayMs, retry.baseDelayMs * 2 ** (failedAttempts - 1));
  return Math.max(full / 2 + (full / 2) * random(), retryAfterMs ?? 0);
}

function retryPolicy(options: OperationOptions, context: OperationContext, safe: boolean): RetryPolicy {
  const policy = retry(
    handleWhen((error) => mayRetry(error, safe, options.retry.maxDelayMs)),
    {
      maxAttempts: options.retry.attempts - 1,
      backoff: new DelegateBackoff<IRetryBackoffContext<unknown>>(({ attempt, result }) => {
        const error = "error" in result ? result.error : undefined;
        const asked = error instanceof ProviderError ? error.retryAfterMs : undefined;
        return retryDelayMs(options.retry, attempt, asked, context.random);
      }),
    },
  );
  policy.onRetry((event) => {
    const error = "error" in event ? event.error : undefined;
    context.onRetry(options.name, { attempt: event.attempt, delayMs: event.delay, error });
  });
  return policy;
}

/** Lets the caller go at once, also out of the bulkhead's queue or a wait between attempts, neither of which heeds a signal. */
async function unlessAborted<T>(outcome: Promise<T>, caller: AbortSignal): Promise<T> {
  if (caller === neverAborted) return outcome;
  let leave: (() => void) | undefined;
  const gone = new Promise<never>((_resolve, reject) => {
    leave = () => reject(new CallerGone(caller.reason));
    caller.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([outcome, gone]);
  } finally {
    if (leave !== undefined) caller.removeEventListener("abort", leave);
  }
}
