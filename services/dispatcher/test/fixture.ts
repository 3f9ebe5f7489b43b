import { type AmqpSession, openSession } from "@warren/amqp";
import {
  type Client,
  createClient,
  createWorker,
  defineJob,
  type JobHandler,
  type Worker,
  type WorkerOptions,
} from "@warren/jobs";
import { type Ledger, migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics, type Metrics } from "@warren/observability";
import { createWorld, type World, waitFor } from "@warren/testing";
import { z } from "zod";
import { createDispatcher, type Dispatcher, type DispatcherOptions } from "../src/app.ts";
import { dispatcherConfig } from "../src/config.ts";

export const note = defineJob({ name: "note", queue: "notes", payload: z.object({ text: z.string() }) });

/** A migrated world with a session, a ledger and clients; everything is disposed with it. */
export interface Bench extends AsyncDisposable {
  readonly world: World;
  readonly ledger: Ledger;
  readonly session: AmqpSession;
  readonly metrics: Metrics;
  readonly lines: Record<string, unknown>[];
  readonly log: ReturnType<typeof createLogger>;
  /** Publishes by itself. */
  readonly client: Client;
  /** Leaves publishing to the dispatcher. */
  readonly quietClient: Client;
  dispatcher(options?: Partial<DispatcherOptions>): Promise<Dispatcher>;
  worker(jobs: readonly JobHandler[], options?: Partial<WorkerOptions>): Promise<Worker>;
  until(id: string, state: string): Promise<NonNullable<Awaited<ReturnType<Ledger["findJob"]>>>>;
  depth(queue: string): Promise<number>;
}

export async function openBench(): Promise<Bench> {
  const stack = new AsyncDisposableStack();
  const world = stack.use(await createWorld());
  const lines: Record<string, unknown>[] = [];
  const destination = {
    write(line: string) {
      lines.push(JSON.parse(line) as Record<string, unknown>);
    },
  };
  const log = createLogger({ service: "test", level: "debug", destination });
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
  const metrics = createMetrics({ service: "test", version: "0" });
  const ledger = stack.use(await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log }));
  const session = stack.use(await openSession({ urls: [world.amqpUrl], name: "test", log, metrics }));
  const publisher = stack.use(session.publisher());
  const client = stack.use(createClient({ ledger, publisher, log, metrics }));
  const quietClient = stack.use(createClient({ ledger, log, metrics }));
  await session.connected();
  return {
    world,
    ledger,
    session,
    metrics,
    lines,
    log,
    client,
    quietClient,
    async dispatcher(options = {}) {
      const { config = {}, ...rest } = options;
      const dispatcher = createDispatcher({
        ledger,
        session,
        version: "test",
        log,
        metrics,
        config: dispatcherConfig.parse({ WARREN_POLL_MS: 10, WARREN_LOST_AFTER_MS: 100, ...config }),
        onDeath: (error) => log.fatal({ err: error }, "a loop died"),
        ...rest,
      });
      stack.use(dispatcher);
      await dispatcher.start();
      return dispatcher;
    },
    async worker(jobs, options = {}) {
      const worker = createWorker({ ledger, session, jobs, log, metrics, heartbeatMs: 50, ...options });
      stack.use(worker);
      await worker.start();
      return worker;
    },
    until: (id, state) =>
      waitFor(
        async () => {
          const job = await ledger.findJob(id);
          return job?.state === state ? job : undefined;
        },
        // a probe that finds the breaker still open is followed by the next one 10 s later: wait for longer than that
        { what: `job ${id} to be ${state}`, intervalMs: 10, timeoutMs: 30_000 },
      ),
    depth: async (queue) => (await session.depth(queue))?.messages ?? 0,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
