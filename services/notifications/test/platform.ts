import { type Client, sendTemplateEmail } from "@warren/jobs";
import { createDeliveries, type Deliveries, type Ledger } from "@warren/ledger";
import { createHealth, createMetrics, type Health, openTracing } from "@warren/observability";
import { type MailSink, startMailSink } from "@warren/sandbox";
import { openTestWarren, type TestWarren } from "@warren/testing/jobs";
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
  readonly finished: TestWarren["finished"];
}

export async function startPlatform(settings: Record<string, string> = {}): Promise<Platform> {
  await using stack = new AsyncDisposableStack();
  const warren = stack.use(await openTestWarren());
  const { ledger, client } = warren;
  const sink = stack.use(await startMailSink({ smtpPort: 0, httpPort: 0 }));
  const metrics = createMetrics({ service: "notifications", version: "test" });
  const tracing = stack.use(openTracing({ service: "test", version: "test", sampleRatio: 0 }));
  const health = createHealth({ checks: {} });
  const config = notificationsConfig.parse({ SMTP_URL: sink.smtpUrl, ...settings });
  const service = stack.use(await startNotifications({ ...warren, config, metrics, tracing, health, version: "test" }));
  stack.defer(async () => {
    await service.quiet?.();
  });

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
    finished: (ids) => warren.finished(ids),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
