import { type AmqpSession, jobQueue } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Found } from "./loop.ts";
import { canPublish } from "./release.ts";
import type { Sender } from "./sender.ts";

export interface LostOptions {
  readonly ledger: Pick<Ledger, "readyQueues" | "takeLost">;
  readonly session: Pick<AmqpSession, "depth" | "state">;
  readonly sender: Sender;
  readonly log: Logger;
  /** Jobs published longer ago than this and never claimed may have been lost. */
  readonly sentForMs: number;
}

const jobsPerQueue = 500;

/**
 * Finds messages that the broker confirmed and then lost: purged, deleted with their queue, gone with a disk. Only a queue that was seen
 * empty in two rounds running can have lost them; in a backlog they may still be waiting, and must not be doubled.
 */
export function findLost({ ledger, session, sender, log, sentForMs }: LostOptions): () => Promise<Found> {
  let emptyBefore: ReadonlySet<string> = new Set();
  return async () => {
    if (!canPublish(session)) {
      emptyBefore = new Set();
      return "idle";
    }
    const empty = new Set<string>();
    for (const queue of await ledger.readyQueues()) {
      const depth = await session.depth(jobQueue(queue));
      if (depth !== undefined && depth.messages > 0) continue;
      empty.add(queue);
      if (!emptyBefore.has(queue)) continue;
      const jobs = await ledger.takeLost({ queue, sentForMs, limit: jobsPerQueue });
      if (jobs.length > 0)
        log.warn({ queue, jobs: jobs.length }, "messages were lost by the broker; sending their jobs again");
      await sender.send(jobs, "lost");
    }
    emptyBefore = empty;
    return "idle";
  };
}
