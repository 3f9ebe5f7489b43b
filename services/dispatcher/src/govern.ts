import type { AmqpSession } from "@warren/amqp";
import type { Ledger, Round, WaitingQueue } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import { createLateMarks } from "./late-marks.ts";
import type { Found } from "./loop.ts";
import { canPublish } from "./release.ts";
import type { Sender } from "./sender.ts";

export interface GovernOptions {
  readonly ledger: {
    readonly limits: Pick<Ledger["limits"], "free" | "overdue" | "release" | "waiting">;
    readonly confirmSent: Ledger["confirmSent"];
  };
  readonly session: Pick<AmqpSession, "state">;
  readonly sender: Pick<Sender, "publish">;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Monotonic milliseconds. Default `performance.now`. */
  readonly now?: () => number;
}

/** Releases jobs of governed queues, each queue at its own pace. */
export interface Governor extends AsyncDisposable {
  /** One look at all queues that are due for one. */
  readonly step: () => Promise<Found>;
}

/** What is known of a queue between two looks. */
interface Pace {
  nextAt: number;
  /** Since when nothing could be released; `undefined` while something can. */
  blockedSince: number | undefined;
}

const jobsPerRound = 1_000;
const queuesAtOnce = 3;
const sendsAtOnce = 6;
/** While a queue is governed, its next job may come at any moment. */
const restMs = 15;
const filledMs = 2;
/** The line is empty: what comes now comes one by one, and need not be looked for each time. */
const emptiedMs = 8;
const takenMs = 10;
/** How often to look for what a dispatcher released and did not publish: it died, or had no broker. */
const overdueMs = 1_000;
const longestBlockedMs = 50;
/** A queue that has been blocked for a while is looked at after this share of that time again: the delay stays small beside the wait. */
const blockedShare = 0.05;

export function createGovernor(options: GovernOptions): Governor {
  const { ledger, session, sender, log } = options;
  const now = options.now ?? (() => performance.now());
  const rounds = options.metrics.counter({
    name: "warren_governed_rounds_total",
    help: "Looks at governed queues with waiting jobs, by what came of them",
    labels: ["outcome"],
  });
  const marks = createLateMarks({ ledger, log });
  const paces = new Map<string, Pace>();
  const sending = new Set<Promise<void>>();
  let overdueAt = 0;

  async function look(queue: WaitingQueue): Promise<void> {
    if (!queue.governed) return freeQueue(queue.queue);
    const pace = paces.get(queue.queue) ?? { nextAt: 0, blockedSince: undefined };
    paces.set(queue.queue, pace);
    const round = await ledger.limits.release({ queue: queue.queue, limit: jobsPerRound });
    rounds.inc({ outcome: round.outcome });
    send(round.jobs);
    setPace(pace, round);
  }

  async function freeQueue(queue: string): Promise<void> {
    const jobs = await ledger.limits.free({ queue, limit: jobsPerRound });
    if (jobs.length > 0) log.info({ queue, jobs: jobs.length }, "queue is governed no more; its waiting jobs go");
    send(jobs);
    paces.delete(queue);
  }

  function setPace(pace: Pace, { outcome, nextMs }: Round): void {
    const at = now();
    if (outcome !== "blocked") pace.blockedSince = undefined;
    switch (outcome) {
      case "more":
        pace.nextAt = at;
        break;
      case "filled":
        pace.nextAt = at + Math.max(filledMs, nextMs ?? emptiedMs);
        break;
      case "taken":
        pace.nextAt = at + takenMs;
        break;
      case "blocked": {
        pace.blockedSince ??= at;
        const patienceMs = Math.max(filledMs, (at - pace.blockedSince) * blockedShare);
        pace.nextAt = at + Math.min(longestBlockedMs, Math.max(1, nextMs ?? patienceMs));
        break;
      }
      default:
        outcome satisfies never;
    }
  }

  /** In the background: the next round need not wait for the broker's answers to this one. */
  function send(jobs: Round["jobs"]): void {
    if (jobs.length === 0) return;
    const work = sender
      .publish(jobs, "governed")
      .then((sent) => marks.add(sent))
      .finally(() => sending.delete(work));
    sending.add(work);
  }

  return {
    async step() {
      // what is released while nothing can be published only takes the place of what could run later
      if (!canPublish(session)) return "idle";
      if (now() >= overdueAt) {
        overdueAt = now() + overdueMs;
        send(await ledger.limits.overdue({ limit: jobsPerRound }));
      }
      while (sending.size >= sendsAtOnce) await Promise.race(sending);
      const queues = await ledger.limits.waiting();
      const open = queues.filter(({ waits, paused }) => waits && !paused);
      for (const queue of paces.keys()) if (!open.some((one) => one.queue === queue)) paces.delete(queue);
      const startedAt = now();
      const due = open.filter(({ queue }) => (paces.get(queue)?.nextAt ?? 0) <= startedAt);
      for (let start = 0; start < due.length; start += queuesAtOnce) {
        await Promise.all(due.slice(start, start + queuesAtOnce).map(look));
      }
      if (queues.length === 0) return "idle";
      const next = Math.min(...open.map(({ queue }) => paces.get(queue)?.nextAt ?? 0), now() + restMs);
      const nextInMs = next - now();
      return nextInMs < 1 ? "busy" : { nextInMs };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(sending);
      await marks[Symbol.asyncDispose]();
    },
  };
}
