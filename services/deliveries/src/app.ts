import { deliverWebhookJob } from "@warren/contracts";
import {
  confirmSnsSubscription,
  createClient,
  createEndpoints,
  createLimits,
  createWorker,
  deliverWebhook,
  handle,
  type JobDefinition,
  openPayloads,
  publishWebhook,
  reportBreakersTo,
  webhookRetryDelayMs,
} from "@warren/jobs";
import { createEndpointStore, createWebhookDeliveries } from "@warren/ledger";
import { createProvider } from "@warren/resilience";
import { type RunningService, type ServiceContext, startWorkerService } from "@warren/service";
import { createAddressGuard } from "./address.ts";
import { type AgentsOptions, createAgents } from "./agents.ts";
import type { DeliveriesConfig, deliveriesConfig } from "./config.ts";
import { openSnsConfirmations } from "./confirm-sns.ts";
import { deliverHandler } from "./deliver.ts";
import { DeliveryFailedError } from "./errors.ts";
import { fanOutHandler } from "./fan-out.ts";
import { createKeeper } from "./keeper.ts";
import { createDeliveryMetrics } from "./metrics.ts";
import { createPlaces } from "./places.ts";

export const deliveriesNeeds = { ledger: true, amqp: "required" } as const;

type Context = Pick<
  ServiceContext<typeof deliveriesConfig, typeof deliveriesNeeds>,
  "config" | "ledger" | "session" | "log" | "metrics" | "tracing" | "version"
>;

/** How long an endpoint rests that says it is overloaded and not for how long; and the longest rest that it may ask for. */
const restMs = 30_000;
const maxRestMs = 3_600_000;
const snsTimeoutMs = 15_000;

/** Starts the worker of the queue `deliveries`: endpoint → try in the ledger → signed POST to a guarded address → what came of it. */
export async function startDeliveries(
  context: Context,
  { resolve }: Pick<AgentsOptions, "resolve"> = {},
): Promise<RunningService> {
  const { config, ledger, session, log, metrics, tracing } = context;
  await using stack = new AsyncDisposableStack();

  const { keyRing } = openPayloads(config);
  const guard = createAddressGuard(config.WARREN_DELIVERY_ALLOW);
  const agents = stack.use(createAgents({ guard, resolve }));
  // its queue is governed, so that the dispatcher sends whatever it enqueues
  const client = stack.use(createClient({ ledger, log, metrics }));
  const deliveries = createWebhookDeliveries(ledger);
  const store = createEndpointStore(ledger);
  const keeper = createKeeper({
    ledger,
    deliveries,
    endpoints: store,
    client,
    breakerFailures: config.WARREN_DELIVERY_BREAKER_FAILURES,
    breakerOpenMs: config.WARREN_DELIVERY_BREAKER_OPEN_MS,
    breakerMaxOpenMs: config.WARREN_DELIVERY_BREAKER_MAX_OPEN_MS,
    disableAfterMs: config.WARREN_DELIVERY_DISABLE_AFTER_MS,
    log,
  });
  const deliver = deliverHandler({
    endpoints: createEndpoints({ ledger, keyRing }),
    deliveries,
    keeper,
    agents,
    places: createPlaces({
      base: config.WARREN_DELIVERY_CONCURRENCY,
      slowAfterMs: config.WARREN_DELIVERY_SLOW_AFTER_MS,
      mostSlow: config.WARREN_DELIVERY_MOST_SLOW,
      resize: (places) => worker.setConcurrency(places),
    }),
    metrics: createDeliveryMetrics(metrics),
    scheduleMs: config.WARREN_DELIVERY_RETRY,
    userAgent: config.WARREN_DELIVERY_USER_AGENT,
    header: config.WARREN_DELIVERY_HEADER,
    maxResponseBytes: config.WARREN_DELIVERY_RESPONSE_BYTES,
    restMs,
    maxRestMs,
    random: Math.random,
    now: () => new Date(),
  });

  const provider = stack.use(
    createProvider({ name: "sns", log, metrics, tracing, onBreakerChange: reportBreakersTo(ledger) }),
  );
  const endpoint = config.WARREN_SNS_ENDPOINT;
  const sns = stack.use(openSnsConfirmations({ provider, endpoint, timeoutMs: snsTimeoutMs }));

  // an endpoint has its places, and no more: one that is slow fills them and delays nobody else
  const limits = createLimits({ ledger });
  await limits.declare({ [deliverWebhookJob.queue]: { keyConcurrency: config.WARREN_DELIVERY_PER_ENDPOINT } });
  const worker = createWorker({
    ledger,
    session,
    jobs: [
      handle(scheduled(deliverWebhook, config), deliver),
      handle(publishWebhook, fanOutHandler({ endpoints: store, client })),
      handle(confirmSnsSubscription, (job) => sns.confirm(job)),
    ],
    concurrency: config.WARREN_DELIVERY_CONCURRENCY,
    version: context.version,
    log,
    metrics,
    tracing,
  });
  return await startWorkerService(worker, stack);
}

/** The definition with the configured schedule. What was written down as the next try is when it is. */
function scheduled<Definition extends JobDefinition>(definition: Definition, config: DeliveriesConfig): Definition {
  const backoff: JobDefinition["backoff"] = ({ attempt, error }) =>
    error instanceof DeliveryFailedError
      ? (error.delayMs ?? "stop")
      : webhookRetryDelayMs(attempt, Math.random, config.WARREN_DELIVERY_RETRY);
  return { ...definition, backoff };
}
