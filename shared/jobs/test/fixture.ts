import { type AmqpSession, jobsExchange, jobsTopology, openSession } from "@warren/amqp";
import { type Ledger, migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics, type Metrics } from "@warren/observability";
import { createWorld, type World, waitFor } from "@warren/testing";
import { type Client, createClient } from "../src/enqueue/client.ts";
import type { JobHandler } from "../src/handle.ts";
import { createWorker, type Worker } from "../src/worker/worker.ts";
import type { WorkerOptions } from "../src/worker/worker-parts.ts";

/** The log lines of a test, as objects. */
interface CapturedLog {
  readonly logger: ReturnType<typeof createLogger>;
  readonly lines: Record<string, unknown>[];
}

function captureLog(): CapturedLog {
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write(line: string) {
      lines.push(JSON.parse(line) as Record<string, unknown>);
    },
  };
  return { logger: createLogger({ service: "test", level: "debug", destination }), lines };
}

/** A world with a migrated ledger, a session and a client. */
export interface Bench extends AsyncDisposable {
  readonly world: World;
  readonly ledger: Ledger;
  readonly session: AmqpSession;
  readonly client: Client;
  readonly metrics: Metrics;
  readonly log: CapturedLog;
  /** Starts a worker with fast heartbeats; disposed with the bench. */
  worker(jobs: readonly JobHandler[], options?: Partial<WorkerOptions>): Promise<Worker>;
  /** Publishes what is due or unsent, as the dispatcher would, until the bench is disposed. */
  dispatch(): void;
  /** One round of that; answers how many jobs it published. */
  dispatchOnce(): Promise<number>;
  /** Waits until the job is in this state. */
  until(id: string, state: string): Promise<NonNullable<Awaited<ReturnType<Ledger["findJob"]>>>>;
}

interface BenchOptions {
  readonly amqpUrl?: string;
  /** Changes the world's broker URL, to lead it through a proxy. */
  readonly through?: (amqpUrl: string) => string;
}

export async function openBench({ amqpUrl, through = (url) => url }: BenchOptions = {}): Promise<Bench> {
  const stack = new AsyncDisposableStack();
  const world = stack.use(await createWorld());
  const log = captureLog();
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log: log.logger });
  const metrics = createMetrics({ service: "test", version: "0" });
  const ledger = stack.use(
    await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log: log.logger }),
  );
  const session = stack.use(
    await openSession({ urls: [amqpUrl ?? through(world.amqpUrl)], name: "test", log: log.logger, metrics }),
  );
  const publisher = stack.use(session.publisher());
  const client = stack.use(createClient({ ledger, publisher, log: log.logger, metrics }));
  const stopping = new AbortController();
  let dispatching: Promise<void> | undefined;

  async function dispatchOnce(): Promise<number> {
    const jobs = [...(await ledger.takeDue({ limit: 100 })), ...(await ledger.takeUnsent({ limit: 100 }))];
    for (const { id, queue } of jobs) {
      const body = Buffer.from(JSON.stringify({ v: 1, jobs: [id] }));
      await publisher.publish({ exchange: jobsExchange, routingKey: queue, body, messageId: crypto.randomUUID() });
    }
    return jobs.length;
  }

  const bench: Bench = {
    world,
    ledger,
    session,
    client,
    metrics,
    log,
    async worker(jobs, options = {}) {
      const worker = createWorker({ ledger, session, jobs, log: log.logger, metrics, heartbeatMs: 100, ...options });
      stack.use(worker);
      await worker.start();
      return worker;
    },
    dispatchOnce,
    dispatch() {
      dispatching ??= (async () => {
        while (!stopping.signal.aborted) {
          await dispatchOnce();
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      })();
    },
    until: (id, state) =>
      waitFor(
        async () => {
          const job = await ledger.findJob(id);
          return job?.state === state ? job : undefined;
        },
        { what: `job ${id} to be ${state}`, intervalMs: 10 },
      ),
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await dispatching;
      await stack.disposeAsync();
    },
  };
  await session.declare(jobsTopology({ queues: ["default"] }));
  return bench;
}
