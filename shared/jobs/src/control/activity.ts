import { randomUUID } from "node:crypto";
import { activityExchange, type Publisher } from "@warren/amqp";
import type { ActivityMessage } from "@warren/contracts";
import type { Watch } from "@warren/ledger";
import type { Logger } from "@warren/observability";
import type { Verdict } from "../attempts/verdict.ts";
import type { Attempt } from "../job.ts";

/** Tells watchers what jobs do. Costs one comparison while nobody watches. */
export interface Activity {
  /** Who watches, from the last heartbeat. */
  watched(watches: readonly Watch[]): void;
  began(attempt: Attempt): void;
  progressed(attempt: Attempt, progress: unknown): void;
  ended(attempt: Attempt, verdict: Verdict): void;
}

const deadlineMs = 2_000;
/** Watchers that the broker does not keep up with miss what is beyond. */
const mostUnconfirmed = 1_000;

export function createActivity(publisher: Pick<Publisher, "publish">, log: Logger): Activity {
  let everything = false;
  let queues = new Set<string>();
  let jobs = new Set<string>();
  let isWatched = false;
  let unconfirmed = 0;

  function tell(attempt: Attempt, event: ActivityMessage["event"], more: Partial<ActivityMessage> = {}): void {
    if (!everything && !queues.has(attempt.queue) && !jobs.has(attempt.id)) return;
    if (unconfirmed >= mostUnconfirmed) return;
    unconfirmed += 1;
    const { id, name, queue, fence } = attempt;
    const at = new Date().toISOString();
    const message: ActivityMessage = { v: 1, id, name, queue, event, attempt: fence, at, ...more };
    void send(`${queue}.${id}`, message);
  }

  async function send(routingKey: string, message: ActivityMessage): Promise<void> {
    try {
      await publisher.publish({
        exchange: activityExchange,
        routingKey,
        body: Buffer.from(JSON.stringify(message)),
        messageId: randomUUID(),
        transient: true,
        deadlineMs,
        onUnrouted: () => undefined,
      });
    } catch (error) {
      log.debug({ jobId: message.id, err: error }, "watchers were not told; they find it in the ledger");
    } finally {
      unconfirmed -= 1;
    }
  }

  return {
    watched(watches) {
      isWatched = watches.length > 0;
      if (!isWatched && !everything && queues.size === 0 && jobs.size === 0) return;
      everything = watches.some(({ queue, jobId }) => queue === undefined && jobId === undefined);
      queues = new Set(watches.flatMap(({ queue }) => queue ?? []));
      jobs = new Set(watches.flatMap(({ jobId }) => jobId ?? []));
    },
    began(attempt) {
      if (isWatched) tell(attempt, "active");
    },
    progressed(attempt, progress) {
      if (isWatched) tell(attempt, "progress", { progress });
    },
    ended(attempt, verdict) {
      if (!isWatched) return;
      const { kind } = verdict;
      const reason = kind === "dead" || kind === "cancelled" ? verdict.reason : undefined;
      const code = "error" in verdict ? verdict.error?.code : undefined;
      tell(attempt, kind, { ...(reason === undefined ? {} : { reason }), ...(code === undefined ? {} : { code }) });
    },
  };
}
