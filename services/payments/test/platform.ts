import { randomUUID } from "node:crypto";
import { jobsExchange, openSession } from "@warren/amqp";
import type { ConfirmYookassaPayload } from "@warren/contracts";
import { type Client, confirmYookassaPayment, createClient } from "@warren/jobs";
import { type JobRecord, type Ledger, migrate, openLedger } from "@warren/ledger";
import { createLogger, createMetrics, openTracing } from "@warren/observability";
import { startYookassa, type YookassaStandIn } from "@warren/sandbox";
import { createWorld, waitFor } from "@warren/testing";
import { startPayments } from "../src/app.ts";
import { paymentsConfig } from "../src/config.ts";

/** The payments service in this process, with a real broker and database and a YooKassa of our own. */
export interface Platform extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly client: Client;
  readonly yookassa: YookassaStandIn;
  metricsText(): Promise<string>;
  /** Puts a payment of 100.00 RUB into YooKassa; answers its id. */
  pay(status: "pending" | "waiting_for_capture" | "succeeded" | "canceled"): string;
  /** Enqueues notifications about payments. */
  notify(...payloads: readonly ConfirmYookassaPayload[]): Promise<readonly string[]>;
  finished(ids: readonly string[], timeoutMs?: number): Promise<readonly JobRecord[]>;
  /** The recorded payment. */
  recorded(id: string): Promise<Record<string, unknown> | undefined>;
  /** Jobs that wait to be sent as mail. */
  mails(): Promise<readonly { template: string; status: string | undefined; email: string }[]>;
}

export async function startPlatform(settings: Record<string, string> = {}): Promise<Platform> {
  await using stack = new AsyncDisposableStack();
  const log = createLogger({ service: "test", level: process.env.TEST_LOG === undefined ? "silent" : "info" });
  const metrics = createMetrics({ service: "payments", version: "test" });
  const tracing = stack.use(openTracing({ service: "test", version: "test", sampleRatio: 0 }));
  const world = stack.use(await createWorld());
  const yookassa = stack.use(await startYookassa({ port: 0 }));
  await migrate({ connectionString: world.databaseUrl, schema: world.schema, log });
  const ledger = stack.use(await openLedger({ connectionString: world.databaseUrl, schema: world.schema, log }));
  const session = stack.use(await openSession({ urls: [world.amqpUrl], name: "test", log }));
  const config = paymentsConfig.parse({
    WARREN_YOOKASSA_API_URL: yookassa.apiUrl,
    WARREN_YOOKASSA_SHOP_ID: yookassa.shopId,
    WARREN_YOOKASSA_SECRET_KEY: yookassa.secretKey,
    ...settings,
  });
  const service = stack.use(await startPayments({ config, ledger, session, log, metrics, tracing, version: "test" }));
  stack.defer(async () => {
    await service.quiet?.();
  });
  const publisher = session.publisher();
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
    yookassa,
    metricsText: () => Promise.resolve(metrics.text()),
    pay(status) {
      const [payment] = yookassa.seed([
        { id: randomUUID(), status, amount: { value: "100.00", currency: "RUB" }, description: "Order 37" },
      ]);
      return payment?.id ?? "";
    },
    async notify(...payloads) {
      const enqueued = await client.enqueueMany(
        confirmYookassaPayment,
        payloads.map((payload) => ({ payload })),
      );
      return enqueued.map(({ id }) => id);
    },
    finished: (ids, timeoutMs = 20_000) =>
      waitFor(
        async () => {
          const jobs = await Promise.all(ids.map((id) => ledger.findJob(id)));
          return jobs.every((job) => job?.finishedAt !== undefined) ? jobs.flatMap((job) => job ?? []) : undefined;
        },
        { what: "the jobs to end", timeoutMs, intervalMs: 50 },
      ),
    async recorded(id) {
      const { rows } = await ledger.query(
        `select status, amount::text, currency, kind, payment_id, log from ${ledger.table("payments")} where provider = 'yookassa' and object_id = $1`,
        [id],
      );
      return rows[0];
    },
    async mails() {
      const { rows } = await ledger.query(
        `select payload from ${ledger.table("jobs")} where name = 'notifications.send-template' order by id`,
        [],
      );
      return rows.map(({ payload }) => {
        const mail = payload as { template: string; data: { status?: string }; user: { email: string } };
        return { template: mail.template, status: mail.data.status, email: mail.user.email };
      });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** What the dispatcher does for the queue `payments`: due jobs, probes of breakers, and the release after they close. */
function startPump(ledger: Ledger, publish: (queue: string, ids: string[]) => Promise<void>): AsyncDisposable {
  const stop = new AbortController();
  const round = async () => {
    const released = [...(await ledger.takeDue({ limit: 500 }))];
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
