import type { AmqpSession } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Found } from "./loop.ts";
import { canPublish } from "./release.ts";
import type { Sender } from "./sender.ts";

export interface BreakersOptions {
  readonly ledger: Pick<Ledger, "breakers" | "probeBreaker" | "releaseHeld">;
  readonly session: Pick<AmqpSession, "state">;
  readonly sender: Sender;
  readonly log: Logger;
}

const jobsPerRelease = 1_000;

/**
 * Governs jobs by breakers: while one is open its jobs are held; when it is time to try, one goes as a probe; when it has closed they go
 * in growing numbers, so that a provider that has just come back is not met by the whole backlog.
 */
export function governBreakers({ ledger, session, sender, log }: BreakersOptions): () => Promise<Found> {
  return async () => {
    if (!canPublish(session)) return "idle";
    for (const { name, state, probeDue, holding } of await ledger.breakers()) {
      if (probeDue) {
        const { released } = await ledger.probeBreaker(name);
        if (released.length > 0)
          log.info({ breaker: name, jobId: released[0]?.id }, "breaker half open; a job probes it");
        await sender.send(released, "probe");
      } else if (state.kind === "closed" && holding) {
        const released = await ledger.releaseHeld({ name, limit: jobsPerRelease });
        if (released.length > 0) log.info({ breaker: name, jobs: released.length }, "breaker closed; held jobs go on");
        await sender.send(released, "released");
      }
    }
    return "idle";
  };
}
