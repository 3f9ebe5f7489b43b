import { z } from "zod";

/** The most jobs one message may name. */
export const maxJobsPerMessage = 500;

/**
 * The message that tells a worker that jobs are ready: their ids, nothing else. The payload stays in the ledger, so a message
 * may be lost, late or doubled without harm. Tolerant in reading: unknown fields are ignored.
 */
export const jobMessage = z.object({
  v: z.literal(1),
  jobs: z.array(z.uuid()).min(1).max(maxJobsPerMessage),
});

export type JobMessage = z.infer<typeof jobMessage>;
