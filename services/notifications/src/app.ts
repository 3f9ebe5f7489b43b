import { fileURLToPath } from "node:url";
import { createWorker, handle, reportBreakersTo, sendTemplateEmail } from "@warren/jobs";
import { createDeliveries } from "@warren/ledger";
import { createProvider } from "@warren/resilience";
import { type RunningService, type ServiceContext, startWorkerService } from "@warren/service";
import type { notificationsConfig } from "./config.ts";
import { createDeliveryMetrics } from "./delivery-metrics.ts";
import { createMailProvider } from "./mail-provider.ts";
import { sendTemplateHandler } from "./send-template.ts";
import { smtpHealth } from "./smtp-health.ts";
import { openSmtpPool } from "./smtp-pool.ts";
import { openTemplates } from "./templates.ts";

export const notificationsNeeds = { ledger: true, amqp: "required" } as const;

type Context = Pick<
  ServiceContext<typeof notificationsConfig, typeof notificationsNeeds>,
  "config" | "ledger" | "session" | "log" | "metrics" | "tracing" | "health" | "version"
>;

const templatesDirectory = fileURLToPath(new URL("../templates", import.meta.url));
const healthEveryMs = 15_000;

/** Starts the worker of the queue `notifications`: templates → deliveries ledger → SMTP pool behind the breaker `smtp:send`. */
export async function startNotifications(context: Context): Promise<RunningService> {
  const { config, ledger, session, log, metrics, tracing, health } = context;
  await using stack = new AsyncDisposableStack();

  const from = config.WARREN_MAIL_FROM;
  const templates = await openTemplates({ directory: templatesDirectory, timeZone: config.WARREN_TIME_ZONE });
  const pool = stack.use(
    openSmtpPool({
      url: config.SMTP_URL,
      tls: config.WARREN_SMTP_TLS,
      from,
      maxConnections: config.WARREN_SMTP_CONNECTIONS,
      maxMessagesPerConnection: config.WARREN_SMTP_MAX_MESSAGES,
      connectTimeoutMs: config.WARREN_SMTP_CONNECT_TIMEOUT_MS,
      silenceTimeoutMs: config.WARREN_SMTP_TIMEOUT_MS,
    }),
  );
  const provider = stack.use(
    createProvider({ name: "smtp", log, metrics, tracing, onBreakerChange: reportBreakersTo(ledger) }),
  );
  const mail = createMailProvider({
    pool,
    provider,
    concurrent: config.WARREN_SMTP_CONNECTIONS,
    timeoutMs: config.WARREN_SMTP_TIMEOUT_MS,
    breaker: {
      failures: config.WARREN_SMTP_BREAKER_FAILURES,
      halfOpenAfterMs: config.WARREN_SMTP_BREAKER_OPEN_MS,
      maxHalfOpenAfterMs: config.WARREN_SMTP_BREAKER_MAX_OPEN_MS,
    },
  });
  health.add("smtp", smtpHealth(pool, { everyMs: healthEveryMs, now: Date.now }), "detail");

  const worker = createWorker({
    ledger,
    session,
    jobs: [
      handle(
        sendTemplateEmail,
        sendTemplateHandler({
          templates,
          deliveries: createDeliveries(ledger),
          mail,
          metrics: createDeliveryMetrics(metrics),
          unknownPolicy: config.WARREN_MAIL_UNKNOWN,
          messageIdDomain: from.address.slice(from.address.lastIndexOf("@") + 1),
          recipientHashKey: config.WARREN_RECIPIENT_HASH_KEY,
        }),
        // the deliveries ledger goes by the fence
        { durableStart: true },
      ),
    ],
    concurrency: config.WARREN_MAIL_CONCURRENCY,
    prefetch: config.WARREN_MAIL_PREFETCH,
    version: context.version,
    log,
    metrics,
    tracing,
  });
  return await startWorkerService(worker, stack);
}
