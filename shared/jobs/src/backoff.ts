import { z } from "zod";
import { JobOptionError } from "./errors.ts";
import { durationMs, longestDelayMs, parseOptions } from "./options.ts";

/** Jitter: `none`, `full` (anywhere from 0 to the delay), or a share from 0 to 1 (0.2: from 80 % to 100 % of the delay). */
const jitter = z.union([z.literal("none"), z.literal("full"), z.number().min(0).max(1)]);

const fixed = z.strictObject({
  kind: z.literal("fixed"),
  delayMs: durationMs,
  jitter: jitter.default("none"),
});

const exponential = z.strictObject({
  kind: z.literal("exponential"),
  /** Delay after the first failed attempt. Default 1 s. */
  delayMs: durationMs.default(1_000),
  /** Default 2. */
  factor: z.number().min(1).max(100).default(2),
  /** No delay is longer. Default 1 h. */
  maxDelayMs: durationMs.default(3_600_000),
  /** Default 0.2. */
  jitter: jitter.default(0.2),
});

/** What a custom backoff is told. */
export interface Failure {
  /** The failed attempt, from 1; snoozes, holds and stalls do not count. */
  readonly attempt: number;
  readonly maxAttempts: number;
  readonly error: unknown;
  readonly payload: unknown;
}

/**
 * A job's own rule: the delay in milliseconds until the next attempt, or `"stop"` (also −1) for none. May be asynchronous (up to 5 s). If it
 * throws or answers nonsense, the default exponential backoff is used and the mistake is logged as `JOB_BACKOFF_FAILED`.
 */
export type CustomBackoff = (failure: Failure) => number | "stop" | Promise<number | "stop">;

export type BackoffRule = z.output<typeof fixed> | z.output<typeof exponential>;
export type BackoffOption = z.input<typeof fixed> | z.input<typeof exponential> | CustomBackoff;
export type Backoff = BackoffRule | CustomBackoff;

export const defaultBackoff: BackoffRule = exponential.parse({ kind: "exponential" });

/** @throws JobOptionError when it is neither a function nor a known rule with valid numbers. */
export function parseBackoff(what: string, option: BackoffOption | undefined): Backoff {
  if (option === undefined) return defaultBackoff;
  if (typeof option === "function") return option;
  const kind = z.looseObject({ kind: z.enum(["fixed", "exponential"]) }).safeParse(option);
  if (!kind.success) {
    throw new JobOptionError(
      "JOB_OPTION_INVALID",
      `${what}: "backoff": expected { kind: "fixed" | "exponential", … } or a function`,
      { details: { path: "backoff" } },
    );
  }
  return kind.data.kind === "fixed"
    ? parseOptions(`${what}: backoff`, fixed, option)
    : parseOptions(`${what}: backoff`, exponential, option);
}

/** The delay after failed attempt number `attempt` (from 1). `random` gives [0, 1). Pure. */
export function backoffDelayMs(rule: BackoffRule, attempt: number, random: () => number): number {
  const full = rule.kind === "fixed" ? rule.delayMs : grown(rule, attempt);
  return Math.round(jittered(full, rule.jitter, random));
}

function grown(rule: z.output<typeof exponential>, attempt: number): number {
  const delay = rule.delayMs * rule.factor ** (Math.max(1, attempt) - 1);
  return Math.min(Number.isFinite(delay) ? delay : rule.maxDelayMs, rule.maxDelayMs);
}

function jittered(delayMs: number, rule: z.output<typeof jitter>, random: () => number): number {
  if (rule === "none") return delayMs;
  const share = rule === "full" ? 1 : rule;
  return delayMs * (1 - share * random());
}

/** What a custom backoff's answer means: a delay, a stop, or nonsense (`undefined`). Pure. */
export function readCustomDelay(answer: unknown): { readonly delayMs: number } | "stop" | undefined {
  if (answer === "stop" || answer === -1) return "stop";
  const parsed = z.number().min(0).max(longestDelayMs).safeParse(answer);
  return parsed.success ? { delayMs: Math.round(parsed.data) } : undefined;
}
