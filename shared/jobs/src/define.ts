import { maxJobsPerMessage } from "@warren/contracts";
import { z } from "zod";
import { type Backoff, type BackoffOption, parseBackoff } from "./backoff.ts";
import { JobOptionError } from "./errors.ts";
import { count, durationMs, jobName, parseOptions, queueName, timeoutMs } from "./options.ts";
import { assertSizeOptions, defaultMaxBytes, largestInlineBytes, largestObjectBytes } from "./payloads/limits.ts";
import { type Attributes, attributesOf, type SearchOption } from "./payloads/search.ts";
import { assertConsistent, type DefinedUnique, type DefinedUniqueOptions, definedUniqueOptions } from "./unique.ts";
import { createUpcast, type Upcast, type Upcasters } from "./upcast.ts";

/** Options of a job definition, as written by its author. */
export interface JobDefinitionOptions<Payload extends z.ZodType, Result extends z.ZodType> {
  /** What the job is called in the ledger, in logs and metrics: `images.resize`. */
  readonly name: string;
  /** Version of the payload's shape; raise it with a change that old workers cannot read. Default 1. */
  readonly version?: number;
  /** The queue it waits in. Default `default`. */
  readonly queue?: string;
  /**
   * Shape of the payload. It travels as JSON: the schema must accept what `JSON.parse(JSON.stringify(payload))` gives (`z.iso.datetime()` or
   * `z.coerce.date()`, not `z.date()`). Its input is what callers give, its output what handlers get.
   */
  readonly payload: Payload;
  /** Shape of the result. Default: anything that is JSON, or nothing. */
  readonly result?: Result;
  /** How often it may run and fail, in all. Default 5. */
  readonly attempts?: number;
  /** Delay between attempts. Default exponential: 1 s, doubled, at most 1 h, 20 % jitter. */
  readonly backoff?: BackoffOption;
  /** After this time the attempt's signal aborts; what the handler then throws is a failed attempt. Default 5 min. */
  readonly timeoutMs?: number;
  /** After this time the attempt has failed even if the handler never returns. Default `timeoutMs` + 30 s. */
  readonly hardTimeoutMs?: number;
  /** How often its worker may die or stop beating while it runs, before it is dead. Default 3. */
  readonly maxStalls?: number;
  /** Of the same work there is one job at a time; see `UniqueOptions`. Default: every enqueue is a job. */
  readonly unique?: DefinedUniqueOptions<z.input<Payload>>;
  /**
   * How often it may be started in all, attempts that do not count included: bounds a handler that snoozes for ever. Past it a snooze ends
   * the job with `JOB_CLAIMS_EXHAUSTED`. Default no bound.
   */
  readonly maxClaims?: number;
  /** Breakers (`provider:operation`) that hold this job while they are open, or a function of the parsed payload. Default none. */
  readonly breakers?: readonly string[] | ((payload: z.output<Payload>) => readonly string[]);
  /** What limits, order and fairness go by where an enqueue gives no `key`: a function of the parsed payload. Default nothing. */
  readonly key?: (payload: z.output<Payload>) => string;
  /** The most jobs of this definition that share a message; 1 for long ones, so that they spread evenly over workers. Default 50. */
  readonly bundleSize?: number;
  /**
   * How to read payloads of older versions, each to the next: `{ 1: v1 => v2, 2: v2 => v3 }`, without a gap up to `version`. The schema
   * checks what comes out. Default: only `version` is read.
   */
  readonly upcast?: Upcasters;
  /** The most bytes of JSON, in UTF-8, that a payload may take. Default 256 KiB, at most 64 MiB; more than 1 MiB needs `offloadAboveBytes`. */
  readonly maxPayloadBytes?: number;
  /** The same for results. */
  readonly maxResultBytes?: number;
  /** How long its result is kept after it has succeeded, in milliseconds, up to 366 days. Default: as long as its history. */
  readonly resultTtlMs?: number;
  /** Payloads and results of more bytes of JSON than this go to the payload store, at most 1 MiB. Default: none do. */
  readonly offloadAboveBytes?: number;
  /** Encrypt payload, result and error texts at rest, whole, with the key ring of client and worker. Default false. */
  readonly encrypt?: boolean;
  /**
   * What the job can be found by: names of top-level fields of the parsed payload, or a function of it. At most 10 strings (200
   * characters), numbers or booleans. **They are stored in plain**, even when the payload is encrypted. Default none.
   */
  readonly search?: SearchOption<z.output<Payload>>;
}

/** A job definition: parsed, defaults filled in, frozen. Make it with `defineJob`. */
export interface JobDefinition<Payload extends z.ZodType = z.ZodType, Result extends z.ZodType = z.ZodType> {
  readonly name: string;
  readonly version: number;
  readonly queue: string;
  readonly payload: Payload;
  readonly result: Result | undefined;
  readonly attempts: number;
  readonly backoff: Backoff;
  readonly timeoutMs: number;
  readonly hardTimeoutMs: number;
  readonly maxStalls: number;
  readonly unique: DefinedUnique | undefined;
  readonly maxClaims: number | undefined;
  readonly breakers: readonly string[];
  /** The breakers of a parsed payload, where they depend on it; `breakers` is empty then. */
  readonly breakersOf: ((payload: unknown) => readonly string[]) | undefined;
  /** The key of a parsed payload. */
  readonly key: ((payload: unknown) => string) | undefined;
  readonly bundleSize: number;
  /** Which versions can be read, and how. */
  readonly upcast: Upcast;
  readonly maxPayloadBytes: number;
  readonly maxResultBytes: number;
  readonly resultTtlMs: number | undefined;
  readonly offloadAboveBytes: number | undefined;
  readonly encrypt: boolean;
  /** The searchable fields of a parsed payload. */
  readonly search: ((payload: unknown) => Attributes | undefined) | undefined;
}

/** What a caller gives to enqueue this job. */
export type PayloadOf<Definition extends JobDefinition> = z.input<Definition["payload"]>;
/** What the handler gets. */
export type ParsedPayloadOf<Definition extends JobDefinition> = z.output<Definition["payload"]>;
/** What the handler must return. */
export type ResultOf<Definition extends JobDefinition> =
  NonNullable<Definition["result"]> extends infer Schema extends z.ZodType ? z.input<Schema> : unknown;

const graceMs = 30_000;

const schemaOf = (what: string) => z.custom<z.ZodType>((value) => value instanceof z.core.$ZodType, what);

const breakerNames = z.array(z.string().min(1).max(200)).max(20);
/** What functions of a payload answer. */
const derived = z.strictObject({ breakers: breakerNames.optional(), key: z.string().min(1).max(200).optional() });

const definitionOptions = z.strictObject({
  name: jobName,
  version: count.default(1),
  queue: queueName.default("default"),
  payload: schemaOf("expected a zod schema"),
  result: schemaOf("expected a zod schema").optional(),
  attempts: count.default(5),
  backoff: z.unknown().optional(),
  timeoutMs: timeoutMs.default(300_000),
  hardTimeoutMs: timeoutMs.optional(),
  maxStalls: z.number().int().min(0).max(1_000).default(3),
  unique: definedUniqueOptions.optional(),
  maxClaims: count.optional(),
  breakers: z
    .union([breakerNames, z.custom<() => never>((value) => typeof value === "function")], {
      error: "expected up to 20 names of breakers, or a function",
    })
    .default([]),
  key: z.custom<() => never>((value) => typeof value === "function", "expected a function").optional(),
  bundleSize: z.number().int().min(1).max(maxJobsPerMessage).default(50),
  upcast: z.record(z.string(), z.unknown()).optional(),
  maxPayloadBytes: z.number().int().positive().max(largestObjectBytes).default(defaultMaxBytes),
  resultTtlMs: durationMs.min(1).optional(),
  maxResultBytes: z.number().int().positive().max(largestObjectBytes).default(defaultMaxBytes),
  offloadAboveBytes: z.number().int().min(0).max(largestInlineBytes).optional(),
  encrypt: z.boolean().default(false),
  search: z
    .union([z.array(z.string().min(1)).min(1).max(10), z.custom<() => never>((value) => typeof value === "function")], {
      error: "expected names of payload fields (at most 10), or a function",
    })
    .optional(),
});

/**
 * Defines a job: its name, shapes and policy, shared by those who enqueue it and the worker that handles it.
 * @throws JobOptionError `JOB_OPTION_UNKNOWN`, `JOB_OPTION_INVALID`.
 */
export function defineJob<Payload extends z.ZodType, Result extends z.ZodType = z.ZodUnknown>(
  options: JobDefinitionOptions<Payload, Result>,
): JobDefinition<Payload, Result> {
  const parsed = parseOptions("defineJob", definitionOptions, options);
  if (parsed.unique !== undefined) assertConsistent("defineJob", parsed.unique);
  const hardTimeoutMs = parsed.hardTimeoutMs ?? parsed.timeoutMs + graceMs;
  if (hardTimeoutMs < parsed.timeoutMs) {
    throw new JobOptionError(
      "JOB_OPTION_INVALID",
      `defineJob: "hardTimeoutMs": expected at least timeoutMs (${parsed.timeoutMs}), got ${hardTimeoutMs}`,
      { details: { path: "hardTimeoutMs" } },
    );
  }
  const what = `defineJob ${parsed.name}`;
  const { search, key, breakers = [] } = options;
  const sizes = {
    maxPayloadBytes: parsed.maxPayloadBytes,
    maxResultBytes: parsed.maxResultBytes,
    resultTtlMs: parsed.resultTtlMs,
    offloadAboveBytes: parsed.offloadAboveBytes,
  };
  assertSizeOptions(what, sizes);
  return Object.freeze({
    ...parsed,
    ...sizes,
    upcast: createUpcast({ what, version: parsed.version, upcast: options.upcast }),
    search:
      search === undefined
        ? undefined
        : (payload: unknown) => attributesOf(parsed.name, search as SearchOption<never>, payload),
    payload: options.payload,
    result: options.result,
    unique: parsed.unique,
    backoff: parseBackoff("defineJob", options.backoff),
    hardTimeoutMs,
    maxClaims: parsed.maxClaims,
    breakers: Object.freeze(typeof breakers === "function" ? [] : [...breakers]),
    breakersOf:
      typeof breakers === "function"
        ? (payload: unknown) =>
            parseOptions(what, derived, { breakers: breakers(payload as z.output<Payload>) }).breakers ?? []
        : undefined,
    key:
      key === undefined
        ? undefined
        : (payload: unknown) => parseOptions(what, derived, { key: key(payload as z.output<Payload>) }).key ?? "",
  });
}

/** For callers without types. @throws JobOptionError `JOB_OPTION_INVALID` for anything but what `defineJob` made. */
export function assertDefined(what: string, given: unknown): asserts given is JobDefinition {
  if (isDefinition(given)) return;
  const isHandler = typeof given === "object" && given !== null && "definition" in given;
  const got = isHandler ? "a handler: give its definition" : typeof given === "string" ? `"${given}"` : typeof given;
  throw new JobOptionError("JOB_OPTION_INVALID", `${what}: expected a job definition, made by defineJob; got ${got}`, {
    details: { path: "definition" },
  });
}

export function isDefinition(given: unknown): given is JobDefinition {
  return typeof given === "object" && given !== null && "upcast" in given && "payload" in given;
}
