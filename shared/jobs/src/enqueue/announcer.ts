import type { Publisher } from "@warren/amqp";
import { jobsExchange, PublishError } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import { type Logger, type Metrics } from "@warren/observability";
import { Backlog, type Bundle } from "./backlog.ts";

/** A job that is committed and ready, and whose worker should hear of it. */
export interface Announced {
  readonly id: string;
  readonly queue: string;
  /** The most jobs that may share its message. */
  readonly bundleSize: number;
}

export interface AnnouncerOptions {
  readonly publisher: Pick<Publisher, "publish">;
  readonly ledger: Pick<Ledger, "confirmSent">;
  /** Makes a queue's topology exist; called once per queue and awaited before its first message. */
  readonly declare?: ((queue: string) => Promise<void>) | undefined;
  /** More messages than this are not handed to the publisher at once; further ones wait here as ids. */
  readonly maxPendingMessages: number;
  /** Jobs that may wait here; what is beyond is left to the dispatcher. */
  readonly maxBacklogJobs: number;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly newId: () => string;
}

/**
 * Publishes messages for committed jobs in the background, and tells the ledger later which of them the broker has. Nothing here can
 * fail an enqueue: what it does not manage, the dispatcher publishes.
 */
export interface Announcer extends AsyncDisposable {
  /** Takes the jobs of one call; those of one event-loop turn share messages. Never throws, never waits. */
  announce(jobs: readonly Announced[]): void;
}

/** Jobs enqueued one by one that meet in a turn share a message only so far, to spread evenly over workers. */
const maxSharedByChance = 10;
/**
 * Jobs are marked as sent this long after they were, and a little more, which must stay below the ledger's grace for fresh jobs (5 s).
 * Most have been claimed by then and need no mark; a mark is one more row version.
 */
const markAfterMs = 3_000;
/** Often, and few at a time: marks of seconds in one go would keep a core of the database from those who wait for an answer. */
const markEveryMs = 100;
const marksPerStatement = 500;
const flushDeadlineMs = 5_000;

/** Jobs that the broker has. */
interface Sent {
  readonly ids: readonly string[];
  readonly markAtMs: number;
}

interface Open {
  readonly ids: string[];
  readonly limit: number;
}

export function createAnnouncer(options: AnnouncerOptions): Announcer {
  const { publisher, ledger, log, newId } = options;
  const published = options.metrics.counter({
    name: "warren_job_messages_total",
    help: "Messages for enqueued jobs, by what became of them (confirmed, failed, or left to the dispatcher)",
    labels: ["queue", "outcome"],
  });
  const declared = new Map<string, Promise<void> | "done">();
  const open = new Map<string, Open>();
  const backlog = new Backlog(options.maxBacklogJobs);
  let pending = 0;
  let idle: (() => void) | undefined;
  let turn: NodeJS.Immediate | undefined;
  /** Published since the last round of marking, and before it, the oldest first. */
  let fresh: string[] = [];
  const aging: Sent[] = [];
  let markTimer: NodeJS.Timeout | undefined;
  let marking: Promise<void> = Promise.resolve();
  let lastComplaintAt = Number.NEGATIVE_INFINITY;

  function announce(jobs: readonly Announced[]): void {
    const bulk = jobs.length > 1;
    for (const job of jobs) {
      const limit = bulk ? job.bundleSize : Math.min(job.bundleSize, maxSharedByChance);
      const bundle = open.get(job.queue);
      if (bundle !== undefined && bundle.ids.length < Math.min(bundle.limit, limit)) {
        bundle.ids.push(job.id);
        continue;
      }
      if (bundle !== undefined) send(job.queue, bundle.ids);
      open.set(job.queue, { ids: [job.id], limit });
    }
    turn ??= setImmediate(flush);
  }

  function flush(): void {
    if (turn !== undefined) clearImmediate(turn);
    turn = undefined;
    for (const [queue, bundle] of open) send(queue, bundle.ids);
    open.clear();
  }

  function send(queue: string, ids: readonly string[]): void {
    const bundle = { queue, ids };
    if (pending < options.maxPendingMessages && backlog.jobs === 0) publish(bundle);
    else if (!backlog.put(bundle)) published.inc({ queue, outcome: "left" });
  }

  function publish({ queue, ids }: Bundle): void {
    pending += 1;
    const message = {
      exchange: jobsExchange,
      routingKey: queue,
      body: Buffer.from(JSON.stringify({ v: 1, jobs: ids })),
      messageId: newId(),
    };
    const ready = options.declare === undefined ? "done" : declareOnce(options.declare, queue);
    const sending = ready === "done" ? publisher.publish(message) : ready.then(() => publisher.publish(message));
    const confirmed = (): void => {
      published.inc({ queue, outcome: "confirmed" });
      remember(ids);
      settled();
    };
    const failed = (error: unknown): void => {
      published.inc({ queue, outcome: "failed" });
      complain(queue, error);
      // the broker is away: what waits will be due for the dispatcher as well, and must not be sent by both when it is back
      if (error instanceof PublishError && error.code === "AMQP_PUBLISH_TIMEOUT") leaveBacklog();
      settled();
    };
    sending.then(confirmed, failed);
  }

  /** A place is free. */
  function settled(): void {
    pending -= 1;
    const next = backlog.take();
    if (next !== undefined) publish(next);
    else if (pending === 0) idle?.();
  }

  function leaveBacklog(): void {
    for (const { queue } of backlog.clear()) published.inc({ queue, outcome: "left" });
  }

  function declareOnce(declare: (queue: string) => Promise<void>, queue: string): Promise<void> | "done" {
    const known = declared.get(queue);
    if (known !== undefined) return known;
    const declaring = declare(queue);
    declared.set(queue, declaring);
    declaring.then(
      () => declared.set(queue, "done"),
      () => declared.delete(queue),
    );
    return declaring;
  }

  /** A broker outage fails thousands of publishes; one line a second is enough. */
  function complain(queue: string, error: unknown): void {
    const now = performance.now();
    if (now - lastComplaintAt < 1_000) return;
    lastComplaintAt = now;
    log.warn({ queue, err: error }, "jobs not published; the dispatcher will");
  }

  function remember(ids: readonly string[]): void {
    for (const id of ids) fresh.push(id);
    markTimer ??= setTimeout(markRound, markEveryMs).unref();
  }

  function markRound(): void {
    const now = performance.now();
    if (fresh.length > 0) aging.push({ ids: fresh, markAtMs: now + markAfterMs });
    fresh = [];
    for (let oldest = aging[0]; oldest !== undefined && oldest.markAtMs <= now; oldest = aging[0]) {
      const { ids } = oldest;
      aging.shift();
      marking = marking.then(() => mark(ids));
    }
    markTimer = aging.length === 0 ? undefined : setTimeout(markRound, markEveryMs).unref();
  }

  /** Never rejects. */
  async function mark(ids: readonly string[]): Promise<void> {
    for (let start = 0; start < ids.length; start += marksPerStatement) {
      try {
        await ledger.confirmSent(ids.slice(start, start + marksPerStatement).map((id) => ({ id, attempt: 0 })));
      } catch (error) {
        // harmless: unmarked jobs are published a second time, and run once
        log.warn({ err: error }, "sent jobs not marked");
      }
    }
  }

  async function drained(): Promise<void> {
    if (pending === 0) return;
    await new Promise<void>((resolve) => {
      idle = resolve;
    });
  }

  return {
    announce,
    async [Symbol.asyncDispose]() {
      flush();
      await within(flushDeadlineMs, drained());
      leaveBacklog();
      clearTimeout(markTimer);
      await within(
        flushDeadlineMs,
        marking.then(() => mark([...aging.flatMap(({ ids }) => ids), ...fresh])),
      );
    },
  };
}

async function within(deadlineMs: number, work: Promise<unknown>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, deadlineMs);
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
