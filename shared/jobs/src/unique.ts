import { createHash } from "node:crypto";
import type { Uniqueness } from "@warren/ledger";
import { z } from "zod";
import { JobOptionError } from "./errors.ts";
import { durationMs } from "./options.ts";

/** How a job keeps others like it away. Of one job name and key there is one at a time. */
export interface UniqueOptions {
  /** What counts as the same work, up to 200 characters. Default: the definition's `unique.by`, else the whole payload. */
  readonly key?: string;
  /**
   * How long it counts. `finished` (default): until it succeeded, is dead or was cancelled. `started`: until a worker starts it.
   * Not together with `forMs`.
   */
  readonly until?: "started" | "finished";
  /** Counts for this long from the enqueue instead, whatever becomes of the job (throttle). */
  readonly forMs?: number;
  /**
   * What an enqueue of the same key does meanwhile.
   * - `ignore` (default): nothing; it answers the id of the job that is there.
   * - `replace`: a job that has not started gets the new payload, and keeps its time.
   * - `extend`: and its time starts anew: with `delayMs` a debounce. With `forMs` that starts anew too.
   * - `keep-last`: as `replace`; while the job runs, the latest payload is kept and runs once, after it has finished for good.
   */
  readonly onConflict?: "ignore" | "replace" | "extend" | "keep-last";
}

/** Options of a definition: `by` says what of the payload counts. */
export interface DefinedUniqueOptions<Payload> extends Omit<UniqueOptions, "key"> {
  /** Fields of the payload, or a function of it that answers the key. Default: the whole payload. */
  readonly by?: readonly string[] | ((payload: Payload) => string);
}

const options = {
  until: z.enum(["started", "finished"]).optional(),
  forMs: durationMs.min(1).optional(),
  onConflict: z.enum(["ignore", "replace", "extend", "keep-last"]).optional(),
};

export const uniqueOptions = z.strictObject({ ...options, key: z.string().min(1).max(200).optional() });

export const definedUniqueOptions = z.strictObject({
  ...options,
  by: z
    .union([
      z.array(z.string().min(1)).min(1),
      z.custom<(payload: unknown) => string>((by) => typeof by === "function"),
    ])
    .optional(),
});

export type DefinedUnique = z.output<typeof definedUniqueOptions>;

/** @throws JobOptionError for options that exclude each other. */
export function assertConsistent(
  what: string,
  { until, forMs, onConflict }: z.output<typeof uniqueOptions> | DefinedUnique,
) {
  const wrong = (message: string, path: string): JobOptionError =>
    new JobOptionError("JOB_OPTION_INVALID", `${what}: ${message}`, { details: { path: `unique.${path}` } });
  if (until !== undefined && forMs !== undefined) throw wrong('give "until" or "forMs", not both', "forMs");
  if (onConflict === "keep-last" && (forMs !== undefined || until === "started")) {
    throw wrong('"keep-last" needs a job that counts until it is finished: remove "forMs" and "until"', "onConflict");
  }
}

/** The ledger's terms, from what the definition and the call say; the call wins. */
export function uniquenessOf(
  name: string,
  defined: DefinedUnique | undefined,
  given: z.output<typeof uniqueOptions> | undefined,
  payload: unknown,
): Uniqueness | undefined {
  if (defined === undefined && given === undefined) return undefined;
  const { by, ...base } = defined ?? {};
  const { key, ...over } = given ?? {};
  // "until" of the one replaces "forMs" of the other
  const time = over.until !== undefined || over.forMs !== undefined ? over : base;
  const merged = { until: time.until, forMs: time.forMs, onConflict: over.onConflict ?? base.onConflict };
  assertConsistent(`enqueue ${name}`, merged);
  return {
    key: key ?? keyOf(name, by, payload),
    until: merged.until ?? "finished",
    onConflict: merged.onConflict ?? "ignore",
    ...(merged.forMs === undefined ? {} : { forMs: merged.forMs }),
  };
}

function keyOf(name: string, by: DefinedUnique["by"], payload: unknown): string {
  if (typeof by === "function") {
    const key: unknown = by(payload);
    if (typeof key === "string" && key.length >= 1 && key.length <= 200) return key;
    const got = typeof key === "string" ? `a string of ${key.length}` : String(key);
    throw new JobOptionError(
      "JOB_OPTION_INVALID",
      `enqueue ${name}: "unique.by" must answer 1 to 200 characters, got ${got}`,
      {
        details: { path: "unique.by" },
      },
    );
  }
  const counted = by === undefined ? payload : by.map((field) => [field, fieldOf(payload, field)]);
  return createHash("sha256").update(canonicalJson(counted)).digest("base64url");
}

const fieldOf = (payload: unknown, path: string): unknown =>
  path.split(".").reduce<unknown>((value, name) => (isRecord(value) ? value[name] : undefined), payload);

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

/** JSON with keys in one order, so that equal payloads have equal keys however they were built. */
export function canonicalJson(value: unknown): string {
  const plain: unknown = JSON.parse(JSON.stringify(value) ?? "null");
  return JSON.stringify(plain, (_, inner: unknown) =>
    isRecord(inner) && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
