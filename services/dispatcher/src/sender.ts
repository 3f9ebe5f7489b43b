import { jobsExchange, type Publisher } from "@warren/amqp";
import type { Ledger, SendableJob, SentJob } from "@warren/ledger";
import type { Logger, Metrics } from "@warren/observability";
import type { KnownQueues } from "./queues.ts";

/** Why a job is sent, as a metric label. */
export type SendReason =
  | "due"
  | "unsent"
  | "lost"
  | "rescued"
  | "probe"
  | "released"
  | "governed"
  | "flow"
  | "scheduled";

/** Publishes ready jobs that the ledger gave to this dispatcher. */
export interface Sender {
  /**
   * Publishes them and marks those that the broker has. Never rejects: a job that was not published is ready and unmarked, and comes up
   * again when the ledger's send lease of 10 s is over.
   */
  send(jobs: readonly SendableJob[], reason: SendReason): Promise<void>;
  /** The same without the marks; answers what the broker has. For jobs that most likely start before a mark could be made. */
  publish(jobs: readonly SendableJob[], reason: SendReason): Promise<readonly SentJob[]>;
}

export interface SenderOptions {
  readonly publisher: Pick<Publisher, "publish">;
  readonly ledger: Pick<Ledger, "confirmSent">;
  readonly queues: KnownQueues;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly newId: () => string;
}

/** Below the ledger's send lease, so that a message is not under way when its job is taken again. */
const publishDeadlineMs = 8_000;
const mostPerMessage = 50;
/** A backlog is cut into about this many messages, so that it still spreads over the workers. */
const messagesPerRound = 25;

export function createSender({ publisher, ledger, queues, log, metrics, newId }: SenderOptions): Sender {
  const sent = metrics.counter({
    name: "warren_dispatcher_jobs_sent_total",
    help: "Jobs published by the dispatcher, by why",
    labels: ["queue", "reason"],
  });

  async function publishBundle(
    queue: string,
    jobs: readonly SendableJob[],
    reason: SendReason,
  ): Promise<readonly SentJob[]> {
    try {
      await publisher.publish({
        exchange: jobsExchange,
        routingKey: queue,
        body: Buffer.from(JSON.stringify({ v: 1, jobs: jobs.map(({ id }) => id) })),
        messageId: newId(),
        deadlineMs: publishDeadlineMs,
      });
      sent.inc({ queue, reason }, jobs.length);
      return jobs;
    } catch (error) {
      log.warn({ queue, jobs: jobs.length, reason, err: error }, "jobs not published; they come up again");
      return [];
    }
  }

  async function sendQueue(queue: string, jobs: readonly SendableJob[], reason: SendReason) {
    try {
      await queues.learn([queue]);
    } catch (error) {
      log.error({ queue, jobs: jobs.length, err: error }, "queue not declared; its jobs are not published");
      return [];
    }
    const messages = bundles(jobs).map((bundle) => publishBundle(queue, bundle, reason));
    return (await Promise.all(messages)).flat();
  }

  async function publish(jobs: readonly SendableJob[], reason: SendReason): Promise<readonly SentJob[]> {
    const byQueue = Map.groupBy(jobs, ({ queue }) => queue);
    const published = await Promise.all([...byQueue].map(([queue, own]) => sendQueue(queue, own, reason)));
    return published.flat();
  }

  return {
    publish,
    async send(jobs, reason) {
      if (jobs.length === 0) return;
      const published = await publish(jobs, reason);
      try {
        await ledger.confirmSent(published);
      } catch (error) {
        log.warn({ err: error }, "sent jobs not marked; they may be published twice, and run once");
      }
    },
  };
}

/** Few jobs travel alone; a backlog shares messages, to spare the broker. Order is kept. Pure. */
export function bundles<T>(jobs: readonly T[]): readonly (readonly T[])[] {
  const size = Math.min(mostPerMessage, Math.max(1, Math.ceil(jobs.length / messagesPerRound)));
  return Array.from({ length: Math.ceil(jobs.length / size) }, (_, index) =>
    jobs.slice(index * size, (index + 1) * size),
  );
}
