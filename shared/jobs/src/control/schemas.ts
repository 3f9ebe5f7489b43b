import type { RunSql } from "@warren/ledger";
import { z } from "zod";
import type { JobDefinition, PayloadOf } from "../define.ts";
import { JobOptionError } from "../errors.ts";
import { count } from "../options.ts";

export interface CancelOptions {
  /** Why, up to 500 characters; kept with the job and told to its handler. */
  readonly reason: string;
  /** Who: a person, a service. Up to 200 characters. */
  readonly by: string;
  /** Cancel inside your own transaction. Its worker hears of it after your commit, at its next heartbeat. */
  readonly tx?: RunSql;
}

export interface RetryOptions<Definition extends JobDefinition = JobDefinition> {
  /** How many attempts count from now on, 1 to 1,000,000. Default: as many as the job had from the beginning. */
  readonly attempts?: number;
  /** Runs it with another payload, which is checked against the definition. */
  readonly edit?: { readonly definition: Definition; readonly payload: PayloadOf<Definition> };
  /** Retry inside your own transaction. */
  readonly tx?: RunSql;
}

export interface DiscardOptions {
  /** Who decides it. Up to 200 characters. */
  readonly by: string;
}

/** Text that Postgres can store. */
const text = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .refine((value) => !value.includes("\u0000") && value.isWellFormed(), "holds U+0000 or half of a surrogate pair");
export const by = text(200);
export const reason = text(500);
const tx = z
  .custom<RunSql>((value) => typeof value === "function", "expected a function that runs one statement")
  .optional();

export const cancelOptions = z.strictObject({ reason, by, tx });
export const retryOptions = z.strictObject({
  attempts: count.optional(),
  edit: z
    .strictObject({
      definition: z.custom<JobDefinition>(isDefinition, "expected a job definition, made by defineJob"),
      payload: z.unknown(),
    })
    .optional(),
  tx,
});
export const discardOptions = z.strictObject({ by });

function isDefinition(value: unknown): boolean {
  return typeof value === "object" && value !== null && "payload" in value && "attempts" in value && "queue" in value;
}

const uuid = z.guid();

/** Checks an id before any statement sees it. @throws JobOptionError `JOB_OPTION_INVALID`. */
export function jobId(what: string, id: unknown): string {
  const parsed = uuid.safeParse(id);
  if (parsed.success) return parsed.data.toLowerCase();
  throw new JobOptionError(
    "JOB_OPTION_INVALID",
    `${what}: expected the id of a job, a UUID, got ${JSON.stringify(id)}`,
    {
      details: { path: "id" },
    },
  );
}
