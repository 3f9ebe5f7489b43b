import { JobDataError, type JobError } from "../errors.ts";

/** Searchable fields of a job, as the ledger keeps them: plain, whatever becomes of the payload. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

/** What a `search` function may answer: `undefined` and `null` are left out. */
export type AttributesGiven = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Names of top-level fields of the payload, or a function of it. */
export type SearchOption<Payload> = readonly (keyof Payload & string)[] | ((payload: Payload) => AttributesGiven);

const mostFields = 10;
const longestValue = 200;
const fieldName = /^[A-Za-z_][A-Za-z0-9_.-]{0,62}$/;

/**
 * The searchable fields of a parsed payload; `undefined` when there are none.
 * @throws JobDataError `JOB_SEARCH_INVALID` for more than 10 fields, what is no string, finite number or boolean, text of more than 200
 * characters or that Postgres cannot store, a function that throws. Messages name the field, never its value.
 */
export function attributesOf(
  name: string,
  search: SearchOption<never> | undefined,
  payload: unknown,
): Attributes | undefined {
  if (search === undefined) return undefined;
  return checkAttributes(name, pick(name, search, payload));
}

/** The same check for fields that somebody asks for. */
function checkAttributes(name: string, given: unknown): Attributes | undefined {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw refusal(name, "", "expected an object of plain values");
  }
  const entries = Object.entries(given).filter(([, value]) => value !== undefined && value !== null);
  if (entries.length > mostFields)
    throw refusal(name, "", `expected at most ${mostFields} fields, got ${entries.length}`);
  const attributes: Record<string, string | number | boolean> = {};
  for (const [field, value] of entries) {
    if (!fieldName.test(field))
      throw refusal(name, field, "expected a name of letters, digits, dots, dashes, underscores");
    attributes[field] = checkValue(name, field, value);
  }
  return entries.length === 0 ? undefined : attributes;
}

function pick(name: string, search: SearchOption<never>, payload: unknown): unknown {
  if (typeof search !== "function") {
    const fields = (payload ?? {}) as Record<string, unknown>;
    return Object.fromEntries(search.map((field: string) => [field, fields[field]]));
  }
  try {
    return (search as (payload: unknown) => unknown)(payload);
  } catch (cause) {
    throw refusal(name, "", "the function threw", cause);
  }
}

function checkValue(name: string, field: string, value: unknown): string | number | boolean {
  if (typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value !== "string") throw refusal(name, field, "expected a string, a finite number or a boolean");
  if (value.length > longestValue) throw refusal(name, field, `expected at most ${longestValue} characters`);
  if (value.includes("\u0000") || !value.isWellFormed())
    throw refusal(name, field, "holds text that Postgres cannot store");
  return value;
}

function refusal(name: string, field: string, why: string, cause?: unknown): JobError {
  const where = field === "" ? "" : ` field "${field}"`;
  return new JobDataError("JOB_SEARCH_INVALID", `search of ${name}:${where} ${why}`, {
    details: { path: field },
    cause,
  });
}
