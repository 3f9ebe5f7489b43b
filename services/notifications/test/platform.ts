import { randomUUID } from "node:crypto";
import { jobsExchange, openSession } from "@warren/amqp";
import { type Client, createClient, sendTemplateEmail } from "@warren/jobs";
import { createDeliveries, type Deliveries, type JobRecord, type Ledger, migrate, openLedger } from "@warren/ledger";
import { createHealth, createLogger, createMetrics, type Health, openTracing } from "@warren/observability";
import { type MailSink, startMailSink } from "@warren/sandbox";
import { createWorld, waitFor } from "@warren/testing";
import { startNotifications } from "../src/app.ts";
import { notificationsConfig } from "../src/config.ts";

/** The notifications service in this process, with a real broker, database and mail server. */
export interface Platform extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly client: Client;
  readonly deliveries: Deliveries;
  readonly sink: MailSink;
  readonly health: Health;
  metricsText(): Promise<string>;
  /** Enqueues mails to `count` users. */
  send(count: number, fields?: Record<string, unknown>): Promise<readonly string[]>;
  /** Waits until all have ended. */
  finished(ids: readonly string[], timeoutMs?: number): Promise<readonly JobRecord[]>;
}

export async function startPlatform(settings: Record<string, string> = {}): Promise<Platform> {
  await using stack = new AsyncDisposableStack();
  const log = createLogger({ service: "test", level: process.env.TEST_LOG === undefined ? "silent" : "info" });
  const metrics = createMetrics({ service: "notifications", version: "test" });
  const tracing = stack.use(openTracing({ service: "test", version: "test", sampleRatio: 0 }));
  const world = stack.use(await createWorld());
  const sink = stack.use(await startMailSink({ smtpPort: 0, httpPort: 0 }));
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
  const ledger = stack.use(await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log }));
  const session = stack.use(await openSession({ urls: [world.amqpUrl], name: "test", log }));
  const health = createHealth({ checks: {} });
  const config = notificationsConfig.parse({ SMTP_URL: sink.smtpUrl, ...settings });
  const service = stack.use(
    await startNotifications({ config, ledger, session, log, metrics, tracing, health, version: "test" }),
  );
  const publisher = session.publisher();
  stack.defer(async () => {
    await service.quiet?.();
  });
  const client = stack.use(
    createClient({ ledger, publisher, log, metrics: createMetrics({ service: "client", version: "test" }) }),
  );
  stack.use(
    startPump(ledger, async (queue, ids) => {
      const body = Buffer.from(JSON.stringify({ v: 1, jobs: ids }));
      await publisher.publish({ exchange: jobsExchange, routingKey: queue, body, messageId: randomUUID() });
    }),
  );

  const owned = stack.move();
  return {
    ledger,
    client,
    deliveries: createDeliveries(ledger),
    sink,
    health,
    metricsText: () => Promise.resolve(metrics.text()),
    async send(count, fields = {}) {
      const items = Array.from({ length: count }, (_, index) => ({
        payload: {
          user: { id: String(index), email: `user${index}@example.com`, locale: "en" },
          template: "welcome",
          templateVersion: 1,
          data: { product: "Warren" },
          ...fields,
        },
        correlationId: `correlation-${index}`,
      }));
      const enqueued = await client.enqueueMany(sendTemplateEmail, items);
      return enqueued.map(({ id }) => id);
    },
    finished: (ids, timeoutMs = 15_000) =>
      waitFor(
        async () => {
          const jobs = await Promise.all(ids.map((id) => ledger.findJob(id)));
          return jobs.every((job) => job?.finishedAt !== undefined) ? jobs.flatMap((job) => job ?? []) : undefined;
        },
        { what: "the jobs to end", timeoutMs, intervalMs: 50 },
      ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What the dispatcher does, as far as these tests need it: due jobs, breakers' probes, and the release after they close. */
function startPump(ledger: Ledger, publish: (queue: string, ids: string[]) => Promise<void>): AsyncDisposable {
  const stop = new AbortController();
  const round = async () => {
    const released = [...(await ledger.takeDue({ limit: 500 })), ...(await ledger.takeUnsent({ limit: 500 }))];
    for (const breaker of await ledger.breakers()) {
      if (breaker.probeDue) released.push(...(await ledger.probeBreaker(breaker.name)).released);
      if (breaker.state.kind === "closed" && breaker.holding) {
        released.push(...(await ledger.releaseHeld({ name: breaker.name, limit: 500 })));
      }
    }
    for (const { id, queue } of released) await publish(queue, [id]);
  };
  const running = (async () => {
    while (!stop.signal.aborted) {
      await round();
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  })();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
