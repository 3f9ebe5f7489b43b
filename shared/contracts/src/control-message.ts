import { z } from "zod";

/** The most ids in one control message; more go in several. */
export const maxIdsPerControlMessage = 500;

/**
 * A hint to every process that something in the ledger has changed. It carries no truth: whoever hears it reads the ledger, and whoever
 * missed it does so at its next heartbeat. Tolerant in reading: unknown fields are ignored.
 */
export const controlMessage = z.object({
  v: z.literal(1),
  /** Running jobs that somebody wants cancelled. */
  cancel: z.array(z.uuid()).max(maxIdsPerControlMessage).optional(),
  /** The workers that run them. */
  workers: z.array(z.uuid()).max(maxIdsPerControlMessage).optional(),
  /** Somebody watches what jobs do, or has stopped. */
  watch: z.literal(true).optional(),
  /** Policies of queues have changed: pauses, limits. */
  queues: z.array(z.string()).max(maxIdsPerControlMessage).optional(),
});

export type ControlMessage = z.infer<typeof controlMessage>;
