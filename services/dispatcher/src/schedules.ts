import type { AmqpSession } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import type { Found } from "./loop.ts";
import { canPublish } from "./release.ts";
import type { Sender } from "./sender.ts";

export interface SchedulesOptions {
  readonly ledger: Pick<Ledger, "schedules">;
  /** While the broker takes no messages, jobs are made all the same, and sent when it does. */
  readonly session: Pick<AmqpSession, "state">;
  readonly sender: Sender;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Monotonic milliseconds. Default `performance.now`. */
  readonly now?: () => number;
}

const schedulesPerRound = 200;
/** For so long a schedule that this process cannot read is left to others. */
const unreadableMs = 60_000;

/** Makes the jobs of schedules that are due, and sends them. */
export function fireSchedules(options: SchedulesOptions): () => Promise<Found> {
  const { ledger, session, sender, log, metrics, now = () => performance.now() } = options;
  const occurrences = metrics.counter({
    name: "warren_schedule_occurrences_total",
    help: "Occurrences of schedules: fired, missed because nobody fired them in time, or left out for an unfinished run",
    labels: ["schedule", "outcome"],
  });
  const unreadable = new Map<string, number>();

  /** Another version wrote it, or this machine's time zones are older than its zone. */
  function leave(name: string, error: unknown): void {
    unreadable.set(name, now() + unreadableMs);
    log.error({ schedule: name, err: error }, "schedule cannot be read here; left to other dispatchers for a minute");
  }

  return async () => {
    for (const [name, until] of unreadable) if (until <= now()) unreadable.delete(name);
    const publish = canPublish(session);
    const round = await ledger.schedules.fire({ limit: schedulesPerRound, except: [...unreadable.keys()], publish });
    for (const { name, error } of round.unreadable) leave(name, error);
    for (const { name, fired, missed, overlapped } of round.rounds) {
      if (fired.length > 0) occurrences.inc({ schedule: name, outcome: "fired" }, fired.length);
      if (missed > 0) occurrences.inc({ schedule: name, outcome: "missed" }, missed);
      if (overlapped > 0) occurrences.inc({ schedule: name, outcome: "overlapped" }, overlapped);
      if (missed > 0)
        log.warn({ schedule: name, missed }, "occurrences were missed and left out by the misfire policy");
    }
    if (publish) await sender.send(round.jobs, "scheduled");
    if (round.rounds.length > 0) return "busy";
    return round.nextInMs === undefined ? "idle" : { nextInMs: round.nextInMs };
  };
}
