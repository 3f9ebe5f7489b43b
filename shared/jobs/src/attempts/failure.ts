import { type ErrorCode, WarrenError } from "@warren/contracts";
import type { JobError as JobFailure } from "@warren/ledger";

const longestMessage = 2_000;
const longestStack = 4_000;
const deepestCause = 5;

/** What the ledger keeps of whatever was thrown. Never throws; bounded; free of U+0000, which jsonb refuses. */
export function describeFailure(error: unknown): JobFailure {
  if (error instanceof Error) {
    const code = error instanceof WarrenError ? error.code : "JOB_FAILED";
    const stack = text(error.stack ?? "", longestStack);
    return { code, message: text(error.message, longestMessage), ...(stack === "" ? {} : { stack }) };
  }
  return { code: "JOB_FAILED", message: text(printed(error), longestMessage) };
}

/** A failure that Warren itself states. */
export function failure(code: ErrorCode, message: string): JobFailure {
  return { code, message };
}

function text(value: string, longest: number): string {
  const clean = value.replaceAll("\u0000", "\uFFFD").toWellFormed();
  return clean.length > longest ? `${clean.slice(0, longest)}…`.toWellFormed() : clean;
}

function printed(value: unknown): string {
  if (typeof value === "string") return value;
  try {
    return `the handler threw ${JSON.stringify(value) ?? typeof value}`;
  } catch {
    return `the handler threw a value of type ${typeof value}`;
  }
}

/** What a provider's failure says about its breaker: the facts of `@warren/resilience`'s errors that a verdict needs. */
export interface ProviderFailure {
  readonly code: string;
  /** `provider:operation`. */
  readonly breaker: string;
  readonly retryAfterMs: number | undefined;
}

/** The provider error behind `error`, itself or one of its causes; `undefined` if there is none. */
export function providerFailure(error: unknown): ProviderFailure | undefined {
  let current = error;
  for (let depth = 0; depth < deepestCause && current instanceof Error; depth += 1) {
    if (current instanceof WarrenError && current.code.startsWith("PROVIDER_")) {
      const { provider, operation } = current.details;
      return {
        code: current.code,
        breaker: `${String(provider)}:${String(operation)}`,
        retryAfterMs: retryAfterOf(current),
      };
    }
    current = current.cause;
  }
  return undefined;
}

/** How long the error asks to wait (`Retry-After`), if it does. */
export function retryAfterOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("retryAfterMs" in error)) return undefined;
  const asked = error.retryAfterMs;
  return typeof asked === "number" && Number.isFinite(asked) && asked > 0 ? asked : undefined;
}
