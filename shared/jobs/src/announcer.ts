import type { Publisher } from "@warren/amqp";
import { jobsExchange } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import { type Logger, type Metrics } from "@warren/observability";

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

/** While the broker is away more than this many messages are not worth the memory: the dispatcher sends their jobs. */
const maxPendingMessages = 20_000;
/** Jobs enqueued one by one that meet in a turn share a message only so far, to spread evenly over workers. */
const maxSharedByChance = 10;
/** Most jobs are claimed and gone by then, and need no mark. */
const confirmAfterMs = 2_000;
const confirmBatch = 5_000;
const flushDeadlineMs = 5_000;

interface Bundle {
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
  const declared = new Map<string, Promise<void>>();
  const open = new Map<string, Bundle>();
  const inFlight = new Set<Promise<void>>();
  let turn: NodeJS.Immediate | undefined;
  let confirmed: { ids: string[]; since: number } | undefined;
  let confirmTimer: NodeJS.Timeout | undefined;
  let confirming: Promise<void> = Promise.resolve();
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
    if (inFlight.size >= maxPendingMessages) {
      published.inc({ queue, outcome: "left" });
      return;
    }
    const sending = publish(queue, ids).finally(() => inFlight.delete(sending));
    inFlight.add(sending);
  }

  async function publish(queue: string, ids: readonly string[]): Promise<void> {
    try {
      if (options.declare !== undefined) await declareOnce(options.declare, queue);
      await publisher.publish({
        exchange: jobsExchange,
        routingKey: queue,
        body: Buffer.from(JSON.stringify({ v: 1, jobs: ids })),
        messageId: newId(),
      });
      published.inc({ queue, outcome: "confirmed" });
      remember(ids);
    } catch (error) {
      published.inc({ queue, outcome: "failed" });
      complain(queue, error);
    }
  }

  function declareOnce(declare: (queue: string) => Promise<void>, queue: string): Promise<void> {
    const known = declared.get(queue);
    if (known !== undefined) return known;
    const declaring = declare(queue);
    declared.set(queue, declaring);
    declaring.catch(() => declared.delete(queue));
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
    confirmed ??= { ids: [], since: performance.now() };
    for (const id of ids) confirmed.ids.push(id);
    confirmTimer ??= setTimeout(() => {
      confirming = confirmDue();
    }, confirmAfterMs).unref();
  }

  async function confirmDue(): Promise<void> {
    confirmTimer = undefined;
    const due = confirmed?.ids ?? [];
    confirmed = undefined;
    for (let start = 0; start < due.length; start += confirmBatch) {
      try {
        await ledger.confirmSent(due.slice(start, start + confirmBatch).map((id) => ({ id, attempt: 0 })));
      } catch (error) {
        // harmless: unmarked jobs are published a second time, and run once
        log.warn({ err: error }, "sent jobs not marked");
      }
    }
  }

  return {
    announce,
    async [Symbol.asyncDispose]() {
      flush();
      await within(flushDeadlineMs, Promise.all(inFlight));
      clearTimeout(confirmTimer);
      await confirming;
      await within(flushDeadlineMs, confirmDue());
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
