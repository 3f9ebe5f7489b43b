import { randomUUID } from "node:crypto";
import { type JobStart, type NewJob, occurrencePrefix, type RunSql } from "@warren/ledger";
import { currentContext } from "@warren/observability";
import { z } from "zod";
import { assertDefined, type JobDefinition, type PayloadOf } from "../define.ts";
import { JobOptionError } from "../errors.ts";
import { assertReadable, jsonText, misfit } from "../json.ts";
import { durationMs, instant, parseOptions } from "../options.ts";
import { assertSize } from "../payloads/limits.ts";
import { staysPlain } from "../payloads/seal.ts";
import { type UniqueOptions, uniquenessOf, uniqueOptions } from "../unique.ts";

export interface EnqueueOptions {
  /** Your own name for this job, up to 200 characters: enqueuing the same id of the same definition again makes no second job. */
  readonly id?: string;
  /** What limits, order and fairness of the queue go by, up to 200 characters: a tenant, an account, a device. */
  readonly key?: string;
  /** One job of the same work at a time; over what the definition says. Not together with `id`. */
  readonly unique?: UniqueOptions;
  /** Not before this many milliseconds from now, by the ledger's clock. */
  readonly delayMs?: number;
  /** Not before this instant. Not together with `delayMs`. */
  readonly at?: Date;
  /** 0 (default) to 1,000; higher first, where the queue honours priorities. */
  readonly priority?: number;
  /** Default: that of the current context, else a new one. */
  readonly correlationId?: string;
  /** Enqueue inside your own transaction: any function that runs one statement there. The dispatcher publishes after your commit. */
  readonly tx?: RunSql;
}

/** For rows that somebody else writes. */
export interface PrepareOptions extends Omit<EnqueueOptions, "tx"> {
  /** Name of the schedule whose jobs it is the pattern of; they are not unique. */
  readonly schedule?: string;
}

export const enqueueOptions = z.strictObject({
  id: z
    .string()
    .min(1)
    .max(200)
    .refine((id) => !id.startsWith(occurrencePrefix), `ids that begin with "${occurrencePrefix}" belong to schedules`)
    .optional(),
  key: z.string().min(1).max(200).optional(),
  unique: uniqueOptions.optional(),
  delayMs: durationMs.optional(),
  at: instant.optional(),
  priority: z.number().int().min(0).max(1_000).optional(),
  correlationId: z.string().min(1).max(200).optional(),
  tx: z
    .custom<RunSql>((value) => typeof value === "function", "expected a function that runs one statement")
    .optional(),
});

const noOptions: z.output<typeof enqueueOptions> = {};

/** A row with its payload still in plain, and whether it may stay so. */
export interface Draft {
  readonly job: NewJob;
  readonly isPlain: boolean;
}

export function draft<Definition extends JobDefinition>(
  definition: Definition,
  payload: PayloadOf<Definition>,
  given: EnqueueOptions = {},
  sendBy: NewJob["sendBy"] = "enqueuer",
  newId: () => string = randomUUID,
): Draft {
  const options = Object.keys(given).length === 0 ? noOptions : parseOptions("enqueue", enqueueOptions, given);
  assertDefined("enqueue", definition);
  const what = `payload of ${definition.name}`;
  const parsed = definition.payload.safeParse(payload);
  if (!parsed.success) throw misfit(what, parsed.error, "JOB_PAYLOAD_INVALID");
  const text = jsonText(`the ${what}`, payload, "JOB_PAYLOAD_UNSERIALISABLE");
  assertReadable(what, definition.payload, text, "JOB_PAYLOAD_INVALID");
  assertSize(definition.name, "payload", text, definition.maxPayloadBytes);
  const attributes = definition.search?.(parsed.data);
  const unique =
    options.id === undefined || options.unique !== undefined
      ? uniquenessOf(definition.name, definition.unique, options.unique, payload)
      : undefined;
  if (unique !== undefined && options.id !== undefined) {
    throw new JobOptionError("JOB_OPTION_INVALID", 'enqueue: give "id" or "unique", not both', {
      details: { path: "unique" },
    });
  }
  const limitKey = options.key ?? definition.key?.(parsed.data);
  const context = currentContext();
  const job: NewJob = {
    queue: definition.queue,
    name: definition.name,
    version: definition.version,
    payload,
    maxAttempts: definition.attempts,
    maxStalls: definition.maxStalls,
    breakers: definition.breakersOf?.(parsed.data) ?? definition.breakers,
    correlationId: options.correlationId ?? context?.correlationId ?? newId(),
    sendBy,
    ...startOf(options),
    ...(options.id === undefined ? {} : { key: options.id }),
    ...(unique === undefined ? {} : { unique }),
    ...(limitKey === undefined ? {} : { limitKey }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(context?.traceparent === undefined ? {} : { trace: context.traceparent }),
    ...(attributes === undefined ? {} : { attributes }),
  };
  return { job, isPlain: staysPlain(definition, text) };
}

/**
 * Validates a payload and makes the row for it, without writing it: for those who put jobs into a statement of their own.
 * @throws JobDataError, JobOptionError as `enqueue`; JobOptionError `JOB_SEALING_REQUIRED` when the payload must be encrypted or
 * offloaded, which takes a client: `client.prepare`.
 */
export function prepare<Definition extends JobDefinition>(
  definition: Definition,
  payload: PayloadOf<Definition>,
  given?: EnqueueOptions,
  sendBy?: NewJob["sendBy"],
  newId?: () => string,
): NewJob {
  const { job, isPlain } = draft(definition, payload, given, sendBy, newId);
  if (isPlain) return job;
  throw new JobOptionError("JOB_SEALING_REQUIRED", `prepare: ${definition.name} is encrypted or offloaded here`);
}

export function withoutUnique(job: NewJob): NewJob {
  const { unique, ...rest } = job;
  return unique === undefined ? job : rest;
}

function startOf({ delayMs, at }: { delayMs?: number | undefined; at?: Date | undefined }): JobStart {
  if (delayMs !== undefined && at !== undefined) {
    throw new JobOptionError("JOB_OPTION_INVALID", 'enqueue: give "delayMs" or "at", not both', {
      details: { path: "at" },
    });
  }
  if (delayMs !== undefined) return { delayMs };
  return at === undefined ? {} : { runAt: at };
}
