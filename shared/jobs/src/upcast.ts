import type { z } from "zod";
import { JobError, JobOptionError } from "./errors.ts";

/**
 * Brings a payload of one version to the next. Pure and synchronous. Annotate the parameter with the old version's type, or wrap the
 * function with `upcastFrom`, which checks it at run time.
 */
// a method's parameter may be narrowed by whoever writes the function: `(payload: MailV1) => …`
export type Upcaster = { step(payload: unknown): unknown }["step"];

/** By the version that they read: `{ 1: v1 => v2, 2: v2 => v3 }`. */
export type Upcasters = Readonly<Record<number, Upcaster>>;

/** The versions that a definition reads, and how. Make it with `createUpcast`. */
export interface Upcast {
  /** The current version. */
  readonly version: number;
  /** All that can be read, ascending; the last is the current one. */
  readonly versions: readonly number[];
  /**
   * Brings a payload of a readable version to the current one.
   * @throws UpcastError when an upcaster throws. RangeError for a version that is not among `versions`: ask first.
   */
  apply(version: number, payload: unknown): unknown;
}

/** An upcaster threw, or answered a promise: `PAYLOAD_UPCAST_FAILED`. `details.from` is the version it reads. */
export class UpcastError extends JobError {
  constructor(what: string, from: number, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super("PAYLOAD_UPCAST_FAILED", `${what}: the upcaster from version ${from} to ${from + 1} failed: ${why}`, {
      details: { from },
      cause,
    });
  }
}

export interface UpcastOptions {
  /** Whose versions these are, for messages: `job mail.send`, `event order.paid`. */
  readonly what: string;
  /** The current version, from 1. */
  readonly version: number;
  readonly upcast?: Upcasters | undefined;
}

/**
 * Checks and binds the upcasters of a job or an event. They must reach from the oldest version named to the current one without a gap.
 * @throws JobOptionError `JOB_OPTION_INVALID` for a gap, a version that is not older than the current one, what is no function.
 */
export function createUpcast({ what, version, upcast = {} }: UpcastOptions): Upcast {
  const steps = new Map<number, Upcaster>();
  for (const [text, step] of Object.entries(upcast)) {
    const from = Number(text);
    if (!Number.isSafeInteger(from) || from < 1) throw refusal(what, text, "expected versions from 1 as names");
    if (from >= version) throw refusal(what, text, `expected versions below the current one, ${version}`);
    if (typeof step !== "function") throw refusal(what, text, `expected a function, got ${typeof step}`);
    steps.set(from, step);
  }
  const oldest = Math.min(version, ...steps.keys());
  for (let from = oldest; from < version; from += 1) {
    if (!steps.has(from)) throw refusal(what, String(from), `is missing: version ${oldest} cannot reach ${version}`);
  }

  return {
    version,
    versions: Object.freeze(Array.from({ length: version - oldest + 1 }, (_, index) => oldest + index)),
    apply(from, payload) {
      if (from < oldest || from > version) throw new RangeError(`${what}: version ${from} cannot be read`);
      let current = payload;
      for (let at = from; at < version; at += 1) {
        try {
          current = steps.get(at)?.(current);
          if (current instanceof Promise) throw new TypeError("it answered a promise; upcasters are synchronous");
        } catch (cause) {
          throw new UpcastError(what, at, cause);
        }
      }
      return current;
    },
  };
}

/** An upcaster that checks the old payload with the old version's schema first, and so has its type. */
export function upcastFrom<Schema extends z.ZodType>(
  schema: Schema,
  step: (payload: z.output<Schema>) => unknown,
): Upcaster {
  return (payload) => step(schema.parse(payload));
}

function refusal(what: string, version: string, why: string): JobOptionError {
  return new JobOptionError("JOB_OPTION_INVALID", `${what}: "upcast.${version}": ${why}`, {
    details: { path: `upcast.${version}` },
  });
}
