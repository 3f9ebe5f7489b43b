import { type ErrorCode, errorCatalogue, WarrenError } from "@warren/contracts";
import { type AbortCode, NonRetryableError } from "../errors.ts";

/** The facts of an attempt, as they cross into a thread. */
export interface ThreadJobFacts {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly queue: string;
  readonly payload: unknown;
  readonly attempt: number;
  readonly fence: number;
  readonly maxAttempts: number;
  readonly correlationId: string;
  readonly givenId: string | undefined;
  readonly key: string | undefined;
  readonly deadline: Date;
}

/** What a thread is told to do. `check`: load the file and say whether it can work. */
export type ThreadTask = { readonly file: string; readonly exportName: string } & (
  | { readonly kind: "check" }
  | { readonly kind: "run"; readonly job: ThreadJobFacts; readonly port: MessagePortLike }
);

/** The part of a `MessagePort` that both sides use. */
interface MessagePortLike {
  postMessage(message: unknown): void;
}

/** How a task ended. The result travels as JSON, as the ledger keeps it. */
export type ThreadAnswer =
  | { readonly kind: "usable" }
  | { readonly kind: "unusable"; readonly why: string }
  | { readonly kind: "returned"; readonly json: string | undefined }
  | { readonly kind: "unserialisable"; readonly why: string }
  | { readonly kind: "snoozed"; readonly delayMs: number }
  /** It threw the reason of its aborted signal. */
  | { readonly kind: "aborted" }
  | { readonly kind: "threw"; readonly error: SentError };

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof logLevels)[number];

/** What a thread asks of its worker: `job.enqueue`, and what reads the job's flow. Each names a definition. */
export type ThreadMethod = "enqueue" | "resultOf" | "outcomeOf" | "parents";

/** From the thread, while it works. `end` is the last one. */
export type FromThread =
  | { readonly kind: "log"; readonly level: LogLevel; readonly fields: object; readonly message: string | undefined }
  | {
      readonly kind: "call";
      readonly call: number;
      readonly method: ThreadMethod;
      readonly definition: { readonly name: string; readonly version: number };
      /** What the method takes beside the definition. */
      readonly given: readonly unknown[];
    }
  /** As JSON, so that nothing crosses that the ledger cannot keep. */
  | { readonly kind: "progress"; readonly json: string }
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "end" };

/** To the thread, while it works. */
export type ToThread =
  | {
      readonly kind: "abort";
      readonly code: AbortCode;
      readonly message: string;
      readonly details: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: "answer"; readonly call: number; readonly value: unknown }
  | { readonly kind: "failure"; readonly call: number; readonly error: SentError };

/** An error in a form that any thread can read. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Of a `WarrenError`. */
  readonly code: string | undefined;
  readonly retryable: boolean;
  /** Of a `NonRetryableError`. */
  readonly reason: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryAfterMs: number | undefined;
  readonly cause: SentError | undefined;
}

const deepestCause = 5;

/** Never throws; details that cannot be cloned are left out. */
export function sendError(error: unknown, depth = 0): SentError {
  const isError = error instanceof Error;
  const warren = error instanceof WarrenError ? error : undefined;
  const retryAfterMs = isError && "retryAfterMs" in error ? error.retryAfterMs : undefined;
  return {
    name: isError ? error.name : "Error",
    message: isError ? error.message : `the handler threw ${printed(error)}`,
    stack: isError ? error.stack : undefined,
    code: warren?.code,
    retryable: warren?.retryable ?? true,
    reason: error instanceof NonRetryableError ? error.reason : undefined,
    details: cloneable(warren?.details),
    retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : undefined,
    cause: isError && error.cause !== undefined && depth < deepestCause ? sendError(error.cause, depth + 1) : undefined,
  };
}

/** The error on the other side: a `WarrenError` with its code and cause, where it was one. */
export function receiveError(sent: SentError): Error {
  const cause = sent.cause === undefined ? {} : { cause: receiveError(sent.cause) };
  const error = recreate(sent, cause);
  if (sent.stack !== undefined) error.stack = sent.stack;
  if (sent.retryAfterMs !== undefined) Object.assign(error, { retryAfterMs: sent.retryAfterMs });
  return error;
}

function recreate({ name, message, code, retryable, reason, details }: SentError, cause: { cause?: Error }): Error {
  if (reason !== undefined) return new NonRetryableError(message, { reason, details, ...cause });
  if (isKnown(code)) return new WarrenError(code, message, { retryable, details, ...cause });
  const error = new Error(message, cause);
  error.name = name;
  return error;
}

function isKnown(code: string | undefined): code is ErrorCode {
  return code !== undefined && code in errorCatalogue;
}

function printed(value: unknown): string {
  try {
    return typeof value === "string" ? value : (JSON.stringify(value) ?? typeof value);
  } catch {
    return `a value of type ${typeof value}`;
  }
}

function cloneable(details: Readonly<Record<string, unknown>> | undefined): Readonly<Record<string, unknown>> {
  if (details === undefined) return {};
  try {
    return structuredClone(details);
  } catch {
    return {};
  }
}
