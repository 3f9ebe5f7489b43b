import { confirmYookassaPayment, createWorker, handle, reportBreakersTo } from "@warren/jobs";
import { createProvider } from "@warren/resilience";
import { type RunningService, type ServiceContext, startWorkerService } from "@warren/service";
import type { paymentsConfig } from "./config.ts";
import { confirmYookassaHandler } from "./confirm-yookassa.ts";
import { createPaymentMetrics } from "./payment-metrics.ts";
import { openYookassa } from "./yookassa.ts";

export const paymentsNeeds = { ledger: true, amqp: "required" } as const;

type Context = Pick<
  ServiceContext<typeof paymentsConfig, typeof paymentsNeeds>,
  "config" | "ledger" | "session" | "log" | "metrics" | "tracing" | "version"
>;

/** Starts the worker of the queue `payments`: YooKassa's API behind the breaker `yookassa:get-payment` → one transaction. */
export async function startPayments(context: Context): Promise<RunningService> {
  const { config, ledger, session, log, metrics, tracing } = context;
  await using stack = new AsyncDisposableStack();

  const provider = stack.use(
    createProvider({ name: "yookassa", log, metrics, tracing, onBreakerChange: reportBreakersTo(ledger) }),
  );
  const yookassa = stack.use(
    openYookassa({
      provider,
      baseUrl: config.WARREN_YOOKASSA_API_URL,
      shopId: config.WARREN_YOOKASSA_SHOP_ID,
      secretKey: config.WARREN_YOOKASSA_SECRET_KEY,
      timeoutMs: config.WARREN_YOOKASSA_TIMEOUT_MS,
      concurrent: config.WARREN_YOOKASSA_CONCURRENCY,
      breaker: {
        failures: config.WARREN_YOOKASSA_BREAKER_FAILURES,
        halfOpenAfterMs: config.WARREN_YOOKASSA_BREAKER_OPEN_MS,
        maxHalfOpenAfterMs: config.WARREN_YOOKASSA_BREAKER_MAX_OPEN_MS,
      },
    }),
  );
  const worker = createWorker({
    ledger,
    session,
    jobs: [
      handle(
        confirmYookassaPayment,
        confirmYookassaHandler({ yookassa, ledger, metrics: createPaymentMetrics(metrics) }),
      ),
    ],
    concurrency: config.WARREN_PAYMENTS_CONCURRENCY,
    prefetch: config.WARREN_PAYMENTS_PREFETCH,
    version: context.version,
    log,
    metrics,
    tracing,
  });
  return await startWorkerService(worker, stack);
}
