import { z } from "zod";

/** Subscribe to this pattern to hear of every dead job. */
export const deadJobTypes = "job.dead.*";

/** The type of the event that announces a dead job of a queue. */
export function deadJobType(queue: string): string {
  return `job.dead.${queue}`;
}

/** Data of such an event: what is needed to look the job up; its payload stays in the ledger. */
export const deadJob = z.object({
  jobId: z.uuid(),
  name: z.string(),
  version: z.number().int(),
  queue: z.string(),
  /** The error code that says why no further attempt is made. */
  reason: z.string().nullable(),
  /** Attempts that counted. */
  attempt: z.number().int(),
  /** The last error. */
  error: z.object({ code: z.string().nullable(), message: z.string().nullable() }),
});

export type DeadJob = z.output<typeof deadJob>;
