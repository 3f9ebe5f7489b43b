import { z } from "zod";

/**
 * What a job does, told while somebody watches. Not kept, and lost with the broker: the ledger knows better. Tolerant in reading: unknown
 * fields are ignored.
 */
export const activityMessage = z.object({
  v: z.literal(1),
  id: z.uuid(),
  name: z.string(),
  queue: z.string(),
  /** `active`: an attempt has begun. The others: what became of it, or how far it is. */
  event: z.enum(["active", "progress", "succeeded", "retrying", "snoozed", "held", "returned", "dead", "cancelled"]),
  /** The fence of the attempt. */
  attempt: z.number().int(),
  /** By the clock of the process that tells it. */
  at: z.iso.datetime(),
  /** Why it is dead or cancelled. */
  reason: z.string().optional(),
  /** The code of the error. */
  code: z.string().optional(),
  progress: z.unknown().optional(),
});

export type ActivityMessage = z.infer<typeof activityMessage>;
