import type { JobError } from "../job.ts";

/**
 * What becomes of an attempt. Delays count from the settlement, by the database's clock. Once somebody has asked for its cancelling, every
 * outcome but `succeeded` ends the job as `cancelled`.
 */
export type Outcome =
  | { readonly kind: "succeeded"; readonly result: unknown }
  | { readonly kind: "retrying"; readonly delayMs: number; readonly error: JobError }
  | { readonly kind: "dead"; readonly reason: string; readonly error: JobError }
  | { readonly kind: "cancelled"; readonly reason: string; readonly error?: JobError }
  /** Later, by the handler's own wish or because it could not begin (`error`); the attempt does not count. */
  | { readonly kind: "snoozed"; readonly delayMs: number; readonly error?: JobError }
  /** Until the breaker lets it go; the attempt does not count. */
  | { readonly kind: "held"; readonly breaker: string; readonly error: JobError }
  /** The worker gives it back unfinished; the attempt does not count. */
  | { readonly kind: "returned" };

export interface Settlement {
  readonly id: string;
  /** The fence: the attempt that the claim returned. */
  readonly attempt: number;
  readonly workerId: string;
  readonly outcome: Outcome;
  /** From the claim's `rare.linked`: such jobs settle in a transaction with their follow-ups. A wrong `false` costs a round trip. */
  readonly linked?: boolean;
}

/**
 * - `applied`: the job is now what the outcome says.
 * - `already`: this worker had settled this attempt before (a resend after a lost answer).
 * - `fenced`: the job is no longer this worker's to settle; nothing was changed.
 */
export type Settled = "applied" | "already" | "fenced";
