import {
  type AmqpSession,
  deadExchange,
  eventsExchange,
  jobsExchange,
  jobsTopology,
  type Publisher,
} from "@warren/amqp";
import type { Ledger, OutboxEvent, SendableJob } from "@warren/ledger";

export interface TestDispatcherOptions {
  readonly ledger: Ledger;
  readonly session: Pick<AmqpSession, "declare">;
  readonly publisher: Pick<Publisher, "publish">;
}

/**
 * What `services/dispatcher` does for a healthy world: sends jobs that are due, unsent or released, follows flows, fires schedules, relays the
 * outbox, probes open breakers. Without what only faults of Warren's own parts need: lost messages, dead workers, dead letters. One for each
 * test, in its process.
 */
export interface TestDispatcher extends AsyncDisposable {
  /** Looks now, and resolves when what was found is sent. @throws what ended the loop. */
  look(): Promise<void>;
}

const restMs = 10;
const most = { limit: 1_000 } as const;

export function startTestDispatcher({ ledger, session, publisher }: TestDispatcherOptions): TestDispatcher {
  const declared = new Set<string>();
  const stopping = new AbortController();
  let failure: Error | undefined;
  let looking: Promise<void> | undefined;

  async function send(jobs: readonly SendableJob[]): Promise<void> {
    const queues = [...new Set(jobs.map(({ queue }) => queue))].filter((queue) => !declared.has(queue));
    if (queues.length > 0) await session.declare(jobsTopology({ queues }));
    for (const queue of queues) declared.add(queue);
    await Promise.all(
      jobs.map(({ id, queue }) =>
        publisher.publish({
          exchange: jobsExchange,
          routingKey: queue,
          body: Buffer.from(JSON.stringify({ v: 1, jobs: [id] })),
          messageId: crypto.randomUUID(),
        }),
      ),
    );
    if (jobs.length > 0) await ledger.confirmSent(jobs);
  }

  async function release(): Promise<void> {
    for (const { queue, governed, waits, paused } of await ledger.limits.waiting()) {
      if (!waits || paused) continue;
      if (governed) await send((await ledger.limits.release({ queue, ...most })).jobs);
      else await send(await ledger.limits.free({ queue, ...most }));
    }
  }

  async function probe(): Promise<void> {
    for (const { name, probeDue, state, holding } of await ledger.breakers()) {
      if (probeDue) await send((await ledger.probeBreaker(name)).released);
      if (state.kind === "closed" && holding) await send(await ledger.releaseHeld({ name, ...most }));
    }
  }

  async function relay(events: readonly OutboxEvent[]): Promise<void> {
    const { outbox } = ledger.events;
    for (const { topic, type, body, eventId, headers, correlationId } of events) {
      await publisher.publish({
        exchange: topic === "dead" ? deadExchange : eventsExchange,
        routingKey: type,
        body: Buffer.from(body),
        messageId: eventId,
        type,
        headers,
        correlationId,
        onUnrouted: () => undefined,
      });
    }
    await outbox.sent(events.map(({ position }) => position));
  }

  async function round(): Promise<void> {
    await send((await ledger.schedules.fire({ limit: 200, except: [], publish: true })).jobs);
    await send((await ledger.flows.sweep(most)).ready);
    await send((await ledger.flows.sweepStopping({ limit: 100 })).ready);
    await send(await ledger.takeDue(most));
    await send(await ledger.takeUnsent(most));
    await release();
    await probe();
    const { outbox } = ledger.events;
    await relay(await outbox.takeFree(most));
    await relay(await outbox.takeOrdered({ keys: 100, perKey: 100 }));
  }

  /** Calls share a round: two at once would take each other's jobs. */
  function look(): Promise<void> {
    looking ??= round().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look();
      await new Promise((resolve) => setTimeout(resolve, restMs));
    }
  }
  const running = loop().catch((error: unknown) => {
    failure = error instanceof Error ? error : new Error(String(error));
  });

  return {
    async look() {
      if (failure !== undefined) throw failure;
      await look();
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running;
      if (failure !== undefined) throw failure;
    },
  };
}
