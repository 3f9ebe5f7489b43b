import { randomUUID } from "node:crypto";
import { callBuckets, type Logger, type Metrics, type Tracing } from "@warren/observability";
import type { BreakerState } from "./breaker.ts";
import { createBreakerReports } from "./breaker-reports.ts";
import { createOperation, type Operation, type OperationContext, type OperationOptions } from "./operation.ts";
import { ProviderError } from "./provider-error.ts";

export interface BreakerChange {
  /** `provider:operation`. */
  readonly breaker: string;
  readonly state: BreakerState;
}

export interface ProviderOptions {
  /** `smtp`, `yookassa`: lower case, no colon. */
  readonly name: string;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly tracing?: Tracing;
  /**
   * Told of every change, in order, one at a time. If it fails, the newest state is told again until it succeeds: give it
   * `ledger.reportBreaker`, and the open breaker governs its queue even if the ledger was away for a moment.
   */
  readonly onBreakerChange?: (change: BreakerChange) => void | Promise<void>;
  /** Default `Math.random`. */
  readonly random?: () => number;
  /** Makes idempotency keys. Default: random UUIDs. */
  readonly newKey?: () => string;
}

/** An external API. Its operations share a name, a log and metrics; each has its own bulkhead and breaker. */
export interface Provider extends AsyncDisposable {
  readonly name: string;
  /** Adds an operation; once per name. */
  operation(options: OperationOptions): Operation;
  readonly log: Logger;
}

const states: readonly BreakerState["kind"][] = ["closed", "open", "half_open"];

/** Creates a provider. Disposal ends the reporting of breaker changes; it aborts no call. */
export function createProvider(options: ProviderOptions): Provider {
  if (!/^[a-z][a-z0-9-]*$/.test(options.name))
    throw new TypeError(`provider name ${options.name} must look like yookassa`);
  const log = options.log.child({ provider: options.name });
  const breakerState = options.metrics.gauge({
    name: "warren_breaker_state",
    help: "1 for the state a breaker is in, 0 for the others",
    labels: ["breaker", "state"],
  });
  const calls = options.metrics.counter({
    name: "warren_provider_calls_total",
    help: "Attempts of calls to providers by outcome: ok or the error code; refused ones were never made",
    labels: ["provider", "operation", "outcome"],
  });
  const seconds = options.metrics.histogram({
    name: "warren_provider_call_seconds",
    help: "Duration of attempts that were made",
    labels: ["provider", "operation"],
    buckets: callBuckets,
  });
  const retries = options.metrics.counter({
    name: "warren_provider_retries_total",
    help: "Attempts after the first of a call",
    labels: ["provider", "operation"],
  });
  const reports = createBreakerReports(options.onBreakerChange, log);
  const names = new Set<string>();

  function show(breaker: string, state: BreakerState) {
    for (const kind of states) breakerState.set({ breaker, state: kind }, state.kind === kind ? 1 : 0);
  }

  const count = (operation: string, outcome: string) => calls.inc({ provider: options.name, operation, outcome });

  const context: OperationContext = {
    provider: options.name,
    random: options.random ?? Math.random,
    newKey: options.newKey ?? randomUUID,
    onBreakerChange(breaker, state) {
      show(breaker, state);
      const retryAt = state.kind === "open" ? { retryAt: state.retryAt } : {};
      log[state.kind === "open" ? "warn" : "info"](
        { breaker, state: state.kind, ...retryAt },
        `breaker ${state.kind.replace("_", "-")}`,
      );
      reports.report({ breaker, state });
    },
    async observe(operation, run) {
      const startedAt = performance.now();
      try {
        const result = await (options.tracing === undefined
          ? run()
          : options.tracing.span(`${options.name} ${operation}`, { kind: "client" }, run));
        count(operation, "ok");
        return result;
      } catch (error) {
        count(operation, error instanceof ProviderError ? error.code : "error");
        throw error;
      } finally {
        seconds.observe({ provider: options.name, operation }, (performance.now() - startedAt) / 1000);
      }
    },
    onRetry(operation, { attempt, delayMs, error }) {
      retries.inc({ provider: options.name, operation });
      log.info({ operation, attempt, delayMs: Math.round(delayMs), err: error }, "call failed, will be made again");
    },
    onRefused: (operation, error) => count(operation, error.code),
  };

  return {
    name: options.name,
    log,
    operation(operationOptions) {
      if (names.has(operationOptions.name)) throw new TypeError(`operation ${operationOptions.name} exists already`);
      names.add(operationOptions.name);
      const operation = createOperation(operationOptions, context);
      show(operation.breaker, operation.state());
      return operation;
    },
    [Symbol.asyncDispose]: () => reports[Symbol.asyncDispose](),
  };
}
