import { nearest } from "@warren/contracts";
import { z } from "zod";
import { JobOptionError } from "./errors.ts";

/** Delays of the ledger's clock: up to a year ahead. */
export const longestDelayMs = 366 * 24 * 3_600_000;
/** Node's timers hold no more. */
const longestTimeoutMs = 2 ** 31 - 1;

export const instant = z.date("expected a valid Date");
export const durationMs = z.number().int().min(0).max(longestDelayMs);
export const timeoutMs = z.number().int().positive().max(longestTimeoutMs);
export const count = z.number().int().positive().max(1_000_000);
/** Names of queues: they appear in AMQP names, URLs and metric labels. */
export const queueName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,99}$/i, "expected 1 to 100 letters, digits, dashes or underscores");
/** Names of jobs: they appear in URLs and metric labels. */
export const jobName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/,
    "expected 1 to 100 letters, digits, dots, dashes or underscores, beginning with a letter or digit",
  );

/** What other job systems call our options, in lower case and without underscores. */
const wordsElsewhere = new Map([
  ...["retries", "retry", "retrylimit", "maxretries", "maxattempts", "maxtries"].map(
    (word) => [word, "attempts"] as const,
  ),
  ...["jobid", "taskid", "uniqueid"].map((word) => [word, "id"] as const),
  ...["eta", "runat", "startafter", "scheduledfor", "performat"].map((word) => [word, "at"] as const),
  ...["countdown", "performin"].map((word) => [word, "delayMs"] as const),
  ...["jobkey", "singletonkey", "deduplication", "uniqueness"].map((word) => [word, "unique"] as const),
  ...["timelimit", "expirein"].map((word) => [word, "timeoutMs"] as const),
  ...["queuename", "routingkey"].map((word) => [word, "queue"] as const),
  ...["schema", "data", "args", "input"].map((word) => [word, "payload"] as const),
  ...["name", "topic"].map((word) => [word, "type"] as const),
]);

/** For callers without types. @throws JobOptionError `JOB_OPTION_INVALID` for what cannot be called. */
export function assertFunction(what: string, path: string, given: unknown): void {
  if (typeof given !== "function") throw unexpected(what, path, "expected a function", given);
}

/** `JOB_OPTION_INVALID`, with the kind of what came in place of what was expected. */
export function unexpected(what: string, path: string, expected: string, given: unknown): JobOptionError {
  const got = given === null ? "null" : Array.isArray(given) ? "an array" : typeof given;
  return new JobOptionError("JOB_OPTION_INVALID", `${what}: "${path}": ${expected}, got ${got}`, { details: { path } });
}

/**
 * Parses an options object once, at the edge. `schema` must be strict.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN` with the nearest known option, `JOB_OPTION_INVALID` with the path and what was expected.
 */
export function parseOptions<T extends z.ZodObject>(what: string, schema: T, options: unknown): z.output<T> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  // a misspelt option is often a missing one too: its name says more
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  if (issue?.code === "unrecognized_keys" && issue.keys[0] !== undefined) {
    const unknown = issue.keys[0];
    const known = issue.path.length === 0 ? Object.keys(schema.shape) : [];
    const elsewhere = wordsElsewhere.get(unknown.toLowerCase().replaceAll("_", ""));
    const near = nearest(unknown, known) ?? known.find((one) => one === elsewhere);
    const path = [...issue.path, unknown].join(".");
    const hint =
      near === undefined ? (known.length === 0 ? "" : `; known: ${known.join(", ")}`) : `; did you mean "${near}"?`;
    throw new JobOptionError("JOB_OPTION_UNKNOWN", `${what}: unknown option "${path}"${hint}`, {
      details: { path, ...(near === undefined ? {} : { nearest: near }) },
    });
  }
  const path = issue?.path.join(".") ?? "";
  throw new JobOptionError(
    "JOB_OPTION_INVALID",
    `${what}: ${path === "" ? "the options" : `"${path}"`}: ${issue?.message ?? "invalid"}`,
    { details: { path } },
  );
}
