import type { AmqpSession } from "@warren/amqp";
import type { Ledger, SendableJob } from "@warren/ledger";
import type { Found } from "./loop.ts";
import type { Sender, SendReason } from "./sender.ts";

export interface ReleaseOptions {
  readonly ledger: Pick<Ledger, "delayed" | "takeDue" | "takeUnsent">;
  readonly session: Pick<AmqpSession, "state">;
  readonly sender: Sender;
}

/** A full round is followed by another at once. */
const jobsPerRound = 1_000;

/** Publishes jobs whose time has come, and rests no longer than until the next one is due. */
export function releaseDue(options: ReleaseOptions): () => Promise<Found> {
  const { ledger } = options;
  const round = release(options, "due", () => ledger.takeDue({ limit: jobsPerRound }));
  return async () => {
    const found = await round();
    if (found === "busy" || !canPublish(options.session)) return found;
    const nextInMs = await ledger.delayed.nextInMs();
    return nextInMs === undefined ? "idle" : { nextInMs };
  };
}

/** Publishes ready jobs that nobody has: enqueued inside a transaction, or by a process that died or had no broker. */
export function releaseUnsent(options: ReleaseOptions): () => Promise<Found> {
  return release(options, "unsent", () => options.ledger.takeUnsent({ limit: jobsPerRound }));
}

function release(
  { session, sender }: ReleaseOptions,
  reason: SendReason,
  take: () => Promise<readonly SendableJob[]>,
): () => Promise<Found> {
  return async () => {
    // what is taken while nothing can be published only waits for its lease to end
    if (!canPublish(session)) return "idle";
    const jobs = await take();
    await sender.send(jobs, reason);
    return jobs.length === 0 ? "idle" : "busy";
  };
}

/** Whether the broker takes messages now: connected, and not blocked by an alarm. */
export function canPublish(session: Pick<AmqpSession, "state">): boolean {
  return session.state().publish.kind === "connected";
}
