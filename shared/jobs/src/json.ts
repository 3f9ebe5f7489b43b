import type { ErrorCode } from "@warren/contracts";
import { z } from "zod";
import { JobDataError } from "./errors.ts";

type Unserialisable = Extract<ErrorCode, "JOB_PAYLOAD_UNSERIALISABLE" | "JOB_RESULT_UNSERIALISABLE">;
type Invalid = Extract<ErrorCode, "JOB_PAYLOAD_INVALID" | "JOB_RESULT_INVALID" | "EVENT_DATA_INVALID">;

/**
 * The value as the ledger will store it, as JSON text; `undefined` is `null`. As JSON does, it leaves out properties whose value is
 * `undefined`, a function or a symbol; whatever else would be changed or lost on the way is refused.
 * @throws JobDataError with `code` and `details.path` for a cycle, a BigInt, NaN and Infinity, `undefined` in an array, a Map, a Set and
 * other objects that JSON writes as `{}`, an invalid Date, U+0000, half of a surrogate pair.
 */
export function jsonText(what: string, value: unknown, code: Unserialisable): string {
  if (value === undefined || value === null) return "null";
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw unfit(what, code, findLoss(value), error);
  }
  if (text === undefined) throw unfit(what, code, findLoss(value));
  // Each loss leaves one of these in the text (U+0000 and lone surrogates are written as escapes); most payloads hold none of them and are
  // looked at no further. Plain searches: a pattern costs several times as much.
  if (text.includes("\\u") || text.includes("null") || text.includes("{}")) {
    const loss = findLoss(value);
    if (loss !== undefined) throw unfit(what, code, loss);
  }
  return text;
}

interface Loss {
  readonly path: readonly string[];
  readonly why: string;
}

function unfit(what: string, code: Unserialisable, loss: Loss | undefined, cause?: unknown): JobDataError {
  const path = loss?.path.join(".") ?? "";
  const why = loss?.why ?? (cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : "it is no JSON");
  return new JobDataError(code, `${what}${path === "" ? "" : `.${path}`} cannot be written as JSON: ${why}`, {
    details: { path },
    cause,
  });
}

const deepest = 1_000;

/** The first place where JSON would throw, or say something else than the value does. */
function findLoss(root: unknown): Loss | undefined {
  const above = new Set<object>();

  function look(given: unknown, path: readonly string[]): Loss | undefined {
    const value = written(given, path.at(-1) ?? "");
    switch (typeof value) {
      case "number":
        return Number.isFinite(value) ? undefined : { path, why: `${value}, which JSON has no word for` };
      case "bigint":
        return { path, why: "a BigInt; give it as a string" };
      case "string":
        return unstorable(value)
          ? { path, why: "U+0000 or half of a surrogate pair, which Postgres cannot store" }
          : undefined;
      case "undefined":
      case "function":
      case "symbol":
        return { path, why: `a value of type ${typeof value}` };
      case "object":
        return value === null ? lostDate(given, path) : lookInside(value, path);
      case "boolean":
        return undefined;
      default:
        return undefined;
    }
  }

  function lookInside(value: object, path: readonly string[]): Loss | undefined {
    if (above.has(value)) return { path, why: "a cycle: it holds itself" };
    if (path.length > deepest) return { path: path.slice(0, 10), why: `nested deeper than ${deepest}` };
    above.add(value);
    const loss = Array.isArray(value) ? lookAtItems(value, path) : lookAtProperties(value, path);
    above.delete(value);
    return loss;
  }

  function lookAtItems(items: readonly unknown[], path: readonly string[]): Loss | undefined {
    for (let index = 0; index < items.length; index += 1) {
      const loss = look(items[index], [...path, String(index)]);
      if (loss !== undefined) return loss;
    }
    return undefined;
  }

  function lookAtProperties(value: object, path: readonly string[]): Loss | undefined {
    const entries = Object.entries(value);
    if (entries.length === 0 && !isPlain(value)) return { path, why: `a ${nameOf(value)}, which JSON writes as {}` };
    for (const [key, inner] of entries) {
      const inside = [...path, key];
      if (unstorable(key)) return { path: inside, why: "a name that Postgres cannot store" };
      if (inner === undefined || typeof inner === "function" || typeof inner === "symbol") continue;
      const loss = look(inner, inside);
      if (loss !== undefined) return loss;
    }
    return undefined;
  }

  return look(root, []);
}

/** What JSON.stringify would write in its place. */
function written(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !("toJSON" in value) || typeof value.toJSON !== "function")
    return value;
  return (value as { toJSON(key: string): unknown }).toJSON(key);
}

function lostDate(given: unknown, path: readonly string[]): Loss | undefined {
  return given instanceof Date ? { path, why: "an invalid Date" } : undefined;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

function nameOf(value: object): string {
  return value.constructor?.name ?? "object";
}

function unstorable(text: string): boolean {
  return text.includes("\u0000") || !text.isWellFormed();
}

/** Whether a schema takes a Date anywhere in its input; JSON carries that as text. Looking costs a tenth of a millisecond, once. */
const takingDates = new WeakMap<z.ZodType, boolean>();

/**
 * Whoever reads the JSON of a value parses it with the same schema; `z.date()` takes no text, so what fits here would be dead there.
 * @throws JobDataError with `code` and the path of what the reader would refuse.
 */
export function assertReadable(what: string, schema: z.ZodType, text: string, code: Invalid): void {
  let takes = takingDates.get(schema);
  if (takes === undefined) {
    takes = takesDates(schema);
    takingDates.set(schema, takes);
  }
  if (!takes) return;
  const read = schema.safeParse(JSON.parse(text));
  if (read.success) return;
  const { message, details } = misfit(what, read.error, code);
  throw new JobDataError(code, `${message} from JSON, which has no dates; use z.coerce.date() or z.iso.datetime()`, {
    details,
  });
}

function takesDates(schema: z.ZodType): boolean {
  let found = false;
  try {
    z.toJSONSchema(schema, {
      io: "input",
      unrepresentable: "any",
      override: ({ zodSchema }) => {
        found ||= zodSchema instanceof z.core.$ZodDate;
      },
    });
  } catch {
    return true; // what cannot be looked through is tried with each value
  }
  return found;
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
