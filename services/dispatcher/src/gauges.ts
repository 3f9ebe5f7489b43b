import { type AmqpSession, deadQueue, jobQueue } from "@warren/amqp";
import type { Ledger } from "@warren/ledger";
import type { Metrics } from "@warren/observability";
import type { Found } from "./loop.ts";
import type { KnownQueues } from "./queues.ts";

export interface GaugesOptions {
  readonly ledger: Pick<Ledger, "breakers" | "limits" | "oldestReady" | "query" | "table">;
  readonly session: Pick<AmqpSession, "depth" | "state">;
  readonly queues: KnownQueues;
  readonly metrics: Metrics;
}

/** Counting stops here: an exact count of a big backlog would cost more than it says. */
const mostCounted = 10_000;

/** Keeps the gauges of all queues. The age of the oldest ready job is the one to alert on: a long queue that moves is no trouble. */
export function measureQueues({ ledger, session, queues, metrics }: GaugesOptions): () => Promise<Found> {
  const oldest = metrics.gauge({
    name: "warren_queue_oldest_ready_seconds",
    help: "How long the oldest ready job of a queue has been due; 0 without one",
    labels: ["queue"],
  });
  const ready = metrics.gauge({
    name: "warren_queue_ready_jobs",
    help: `Ready jobs of a queue; counting stops at ${mostCounted}`,
    labels: ["queue"],
  });
  const messages = metrics.gauge({
    name: "warren_broker_queue_messages",
    help: "Messages waiting in a broker queue",
    labels: ["queue", "kind"],
  });
  const waiting = metrics.gauge({
    name: "warren_queue_waiting_jobs",
    help: `Jobs of a governed queue that wait in the ledger for their release; counting stops at ${mostCounted}`,
    labels: ["queue"],
  });
  const oldestWaiting = metrics.gauge({
    name: "warren_queue_oldest_waiting_seconds",
    help: "How long a governed queue's job has been due that has waited the longest for its release; 0 without one",
    labels: ["queue"],
  });
  const released = metrics.gauge({
    name: "warren_queue_released_jobs",
    help: "Jobs of a governed queue that were released and are not finished: what its concurrency counts",
    labels: ["queue"],
  });
  const governed = new Set<string>();
  const held = metrics.gauge({
    name: "warren_breaker_holds_jobs",
    help: "1 while jobs are held by a breaker",
    labels: ["breaker"],
  });
  // Index: jobs_ready (queue, run_at). Reads at most the counted entries; locks nothing.
  const count = `select count(*)::integer as ready from (
      select 1 from ${ledger.table("jobs")} where queue = $1 and state = 'ready' and held_by is null and gate = 0 limit ${mostCounted}
    ) counted`;

  async function measureWaiting(): Promise<void> {
    const lines = await ledger.limits.lines(mostCounted);
    for (const { queue } of lines) governed.add(queue);
    for (const queue of governed) {
      const line = lines.find((one) => one.queue === queue);
      waiting.set({ queue }, line?.jobs ?? 0);
      oldestWaiting.set({ queue }, (line?.oldestMs ?? 0) / 1_000);
      released.set({ queue }, line?.released ?? 0);
    }
  }

  return async () => {
    const ages = new Map((await ledger.oldestReady()).map(({ queue, ageMs }) => [queue, ageMs]));
    await queues.learn([...ages.keys()]);
    for (const queue of queues.names) {
      const ageMs = ages.get(queue);
      oldest.set({ queue }, (ageMs ?? 0) / 1_000);
      const { rows } = ageMs === undefined ? { rows: [] } : await ledger.query(count, [queue]);
      ready.set({ queue }, Number(rows[0]?.["ready"] ?? 0));
    }
    await measureWaiting();
    for (const { name, holding } of await ledger.breakers()) held.set({ breaker: name }, holding ? 1 : 0);
    if (session.state().consume.kind !== "connected") return "idle";
    for (const queue of queues.names) {
      const [jobs, dead] = await Promise.all([session.depth(jobQueue(queue)), session.depth(deadQueue(queue))]);
      messages.set({ queue, kind: "jobs" }, jobs?.messages ?? 0);
      messages.set({ queue, kind: "dead" }, dead?.messages ?? 0);
    }
    return "idle";
  };
}
