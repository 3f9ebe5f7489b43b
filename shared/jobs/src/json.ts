import type { ErrorCode } from "@warren/contracts";
import type { z } from "zod";
import { JobDataError } from "./errors.ts";

type Unserialisable = Extract<ErrorCode, "JOB_PAYLOAD_UNSERIALISABLE" | "JOB_RESULT_UNSERIALISABLE">;
type Invalid = Extract<ErrorCode, "JOB_PAYLOAD_INVALID" | "JOB_RESULT_INVALID" | "EVENT_DATA_INVALID">;

/** JSON.stringify escapes them, and jsonb refuses both; an escaped backslash before them is caught by the exact look after. */
const suspicious = /\\u(?:0000|d[89a-f])/i;

/**
 * Refuses what the ledger could not store.
 * @throws JobDataError with `code` for a cycle, a BigInt, a function where JSON needs a value, U+0000, a lone surrogate.
 */
export function assertJson(what: string, value: unknown, code: Unserialisable): void {
  if (value === undefined || value === null || typeof value === "boolean") return;
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : "";
    throw new JobDataError(code, `${what} cannot be written as JSON: ${why}`, { cause: error });
  }
  if (text === undefined) throw new JobDataError(code, `${what} cannot be written as JSON: a ${typeof value}`);
  if (suspicious.test(text) && holdsUnstorable(JSON.parse(text))) {
    throw new JobDataError(code, `${what} holds U+0000 or half of a surrogate pair, which Postgres cannot store`);
  }
}

function holdsUnstorable(value: unknown): boolean {
  if (typeof value === "string") return value.includes("\u0000") || !value.isWellFormed();
  if (Array.isArray(value)) return value.some(holdsUnstorable);
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(value).some(([key, inner]) => holdsUnstorable(key) || holdsUnstorable(inner));
}

/** Why the data does not fit, naming the first field: `user.email: Invalid email address`. */
export function misfit(what: string, error: z.core.$ZodError, code: Invalid): JobDataError {
  const issue = error.issues[0];
  const path = issue?.path.map(String).join(".") ?? "";
  const more = error.issues.length > 1 ? ` (and ${error.issues.length - 1} more)` : "";
  return new JobDataError(code, `${what}${path === "" ? "" : `.${path}`}: ${issue?.message ?? "invalid"}${more}`, {
    details: {
      path,
      issues: error.issues.slice(0, 10).map((one) => ({ path: one.path.map(String).join("."), message: one.message })),
    },
  });
}
