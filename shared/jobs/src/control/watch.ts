import { type AmqpSession, jobsExchange } from "@warren/amqp";
import { type ActivityMessage, jobMessage } from "@warren/contracts";
import type { Ledger, Watch } from "@warren/ledger";
import type { Watching } from "./watching.ts";

/** What a job did, as a watcher hears it. */
export interface JobEvent {
  readonly id: string;
  readonly name: string | undefined;
  readonly queue: string;
  /** `waiting`: it was published to workers. The others: see `ActivityMessage`. */
  readonly event: "waiting" | ActivityMessage["event"];
  /** By the clock of the process that told it. */
  readonly at: Date;
  readonly attempt: number | undefined;
  readonly reason: string | undefined;
  readonly code: string | undefined;
  readonly progress: unknown;
  /** Only of `dead`: whether its attempts are spent. */
  readonly isExhausted: boolean;
}

export interface WatchSources {
  readonly ledger: Pick<Ledger, "control" | "queues" | "findJob">;
  readonly session: Pick<AmqpSession, "listen">;
  readonly watching: Watching;
}

/** A watcher that reads too slowly loses the oldest events. */
const mostWaiting = 10_000;
/** Jobs whose last event is remembered, to keep each job's events in order. */
const mostRemembered = 20_000;

interface Last {
  readonly attempt: number;
  readonly event: JobEvent["event"];
}

/** Events in order for each job: what comes late, by another way, is left out. */
export function createOrder(): (event: JobEvent) => boolean {
  const lasts = new Map<string, Last>();
  return (event) => {
    const last = lasts.get(event.id);
    const attempt = event.attempt ?? last?.attempt ?? 0;
    if (last !== undefined && !follows(last, event, attempt)) return false;
    lasts.delete(event.id);
    lasts.set(event.id, { attempt, event: event.event });
    if (lasts.size > mostRemembered) for (const id of lasts.keys()) return lasts.delete(id);
    return true;
  };
}

const resting = new Set<JobEvent["event"]>(["retrying", "snoozed", "held", "returned", "dead", "cancelled"]);

function follows(last: Last, event: JobEvent, attempt: number): boolean {
  // a dead or cancelled job may have been retried
  if (event.event === "waiting") return resting.has(last.event);
  return attempt >= last.attempt;
}

/** Yields until the signal aborts or the consumer breaks off. Watching ends with it, and workers stop telling. */
export async function* watchJobs(
  { ledger, session, watching }: WatchSources,
  watch: Watch,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobEvent, void, void> {
  const buffer: JobEvent[] = [];
  const isNext = createOrder();
  let wake: (() => void) | undefined;
  const push = (event: JobEvent): void => {
    if (!isNext(event)) return;
    if (buffer.push(event) > mostWaiting) buffer.shift();
    wake?.();
  };
  signal?.addEventListener("abort", () => wake?.(), { once: true });

  const queues = await queuesOf(ledger, watch);
  await using stack = new AsyncDisposableStack();
  stack.use(
    session.listen({
      name: "warren.watch",
      // what is published to workers is heard besides them; it costs the broker a copy while somebody watches
      bindings: queues.map((queue) => ({ exchange: jobsExchange, routingKey: queue })),
      onMessage({ body, routingKey }) {
        for (const id of idsOf(body))
          if (watch.jobId === undefined || watch.jobId === id) push(waiting(id, routingKey));
      },
    }),
  );
  stack.use(await watching.open(watch, (message) => push(told(message))));
  const isOver = (): boolean => signal?.aborted === true;
  while (!isOver()) {
    const event = buffer.shift();
    if (event === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      if (!isOver()) await promise;
    } else yield event;
  }
}

async function queuesOf(
  ledger: Pick<Ledger, "queues" | "findJob">,
  { queue, jobId }: Watch,
): Promise<readonly string[]> {
  if (queue !== undefined) return [queue];
  if (jobId === undefined) return ledger.queues();
  const job = await ledger.findJob(jobId);
  return job === undefined ? [] : [job.queue];
}

function idsOf(body: Buffer): readonly string[] {
  try {
    const parsed = jobMessage.safeParse(JSON.parse(body.toString()));
    return parsed.success ? parsed.data.jobs : [];
  } catch {
    return [];
  }
}

function waiting(id: string, queue: string): JobEvent {
  return {
    id,
    queue,
    event: "waiting",
    at: new Date(),
    name: undefined,
    attempt: undefined,
    reason: undefined,
    code: undefined,
    progress: undefined,
    isExhausted: false,
  };
}

function told({ id, name, queue, event, attempt, at, reason, code, progress }: ActivityMessage): JobEvent {
  const isExhausted = event === "dead" && reason === "JOB_ATTEMPTS_EXHAUSTED";
  return { id, name, queue, event, attempt, at: new Date(at), reason, code, progress, isExhausted };
}
