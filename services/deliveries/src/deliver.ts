import { setTimeout as delay } from "node:timers/promises";
import { type DeliverWebhookResult, type deliverWebhookPayload, WarrenError } from "@warren/contracts";
import { type Endpoints, type Job, type OpenEndpoint, PayloadError, snooze, webhookRetryDelayMs } from "@warren/jobs";
import type { AttemptReport, BegunAttempt, NewWebhookDelivery, WebhookDeliveryStore } from "@warren/ledger";
import type { z } from "zod";
import type { Agents } from "./agents.ts";
import { DeliveryFailedError, disabledError } from "./errors.ts";
import { type Exchange, exchange } from "./exchange.ts";
import type { EndpointKeeper } from "./keeper.ts";
import type { DeliveryMetrics } from "./metrics.ts";
import type { Places } from "./places.ts";
import { bodyOf, signatureHeaders, webhookIdOf } from "./sign.ts";
import { type DeliveryVerdict, judge, type VerdictPolicy } from "./verdict.ts";

export interface DeliverOptions extends VerdictPolicy {
  readonly endpoints: Pick<Endpoints, "open">;
  readonly deliveries: WebhookDeliveryStore;
  readonly keeper: EndpointKeeper;
  readonly agents: Agents;
  readonly places: Places;
  readonly metrics: DeliveryMetrics;
  /** Delays between tries. */
  readonly scheduleMs: readonly number[];
  readonly userAgent: string;
  /** Carried by every delivery. */
  readonly header: { readonly name: string; readonly value: string } | undefined;
  readonly maxResponseBytes: number;
  readonly random: () => number;
  readonly now: () => Date;
}

type DeliverJob = Pick<
  Job<z.output<typeof deliverWebhookPayload>, DeliverWebhookResult>,
  "id" | "attempt" | "maxAttempts" | "payload" | "correlationId" | "signal" | "log"
>;

/** Handles `deliver-webhook`: open the endpoint, begin the try, sign, send, judge, write down. */
export function deliverHandler(options: DeliverOptions) {
  const { endpoints, deliveries, keeper, agents, metrics } = options;

  return async (job: DeliverJob): Promise<DeliverWebhookResult> => {
    const endpoint = await open(job);
    const delivery = newDelivery(job, endpoint);
    if (endpoint === undefined || endpoint === "disabled") {
      await deliveries.refuse(delivery, endpoint === undefined ? "ENDPOINT_UNKNOWN" : "ENDPOINT_DISABLED");
      metrics.count("refused");
      return { outcome: "skipped" };
    }
    const begun = await deliveries.begin(delivery, endpoint.url);
    if (begun === undefined) {
      job.log.info({ deliveryId: delivery.id }, "delivered before, or another job's by now: not sent again");
      return { outcome: "skipped" };
    }

    const agent = agents.of(endpoint);
    const headers = headersOf(job, endpoint, begun);
    const answer = await options.places.during(() =>
      exchange({
        dispatcher: agent.dispatcher,
        url: endpoint.url,
        headers: { ...endpoint.sealed.headers, ...headers },
        body: begun.body,
        timeoutMs: endpoint.settings.timeoutMs,
        maxResponseBytes: options.maxResponseBytes,
        signal: job.signal,
      }),
    );
    const verdict = judge(answer, options);
    metrics.observe(verdict.kind, answer.durationMs);
    const isRefused = answer.kind === "unanswered" && answer.reason === "ENDPOINT_ADDRESS_REFUSED";
    const address = isRefused ? undefined : agent.address();
    const report = { ...reportOf(delivery.id, begun, answer, headers), address };

    if (verdict.kind === "delivered") {
      await firmly(job, () => deliveries.settle({ ...report, outcome: "delivered" }));
      await keeper.succeeded(endpoint.id);
      return { outcome: "delivered", ...(answer.kind === "answered" ? { status: answer.status } : {}) };
    }
    return fail(job, endpoint, verdict, report);
  };

  /** What an operator must mend (a key that is missing here) costs no try: the job comes back for as long as it takes. */
  async function open(job: DeliverJob): ReturnType<Endpoints["open"]> {
    try {
      return await endpoints.open(job.payload.endpoint);
    } catch (error) {
      if (!(error instanceof PayloadError)) throw error;
      job.log.error({ err: error, endpointId: job.payload.endpoint }, "an endpoint's secrets do not open here");
      return snooze(unopenedMs);
    }
  }

  async function fail(
    job: DeliverJob,
    endpoint: OpenEndpoint,
    verdict: Extract<DeliveryVerdict, { kind: "failed" }>,
    report: Omit<AttemptReport, "outcome" | "reason" | "detail" | "retryInMs">,
  ): Promise<never> {
    const { reason, detail, outage } = verdict;
    // first of all, so that a failure of the ledger here costs a repetition and no more
    const disabled = await firmly(job, () => keeper.failed(endpoint, verdict));
    const scheduled =
      job.attempt < job.maxAttempts ? webhookRetryDelayMs(job.attempt, options.random, options.scheduleMs) : "stop";
    const delayMs = disabled || scheduled === "stop" ? undefined : Math.max(scheduled, verdict.retryAfterMs);
    await firmly(job, () => deliveries.settle({ ...report, outcome: "failed", reason, detail, retryInMs: delayMs }));
    if (disabled) throw disabledError(endpoint.id, detail);
    throw new DeliveryFailedError(reason, detail, { endpointId: endpoint.id, outage, delayMs });
  }

  function headersOf(job: DeliverJob, endpoint: OpenEndpoint, begun: BegunAttempt): Record<string, string> {
    return {
      "content-type": "application/json",
      "user-agent": options.userAgent,
      ...(options.header === undefined ? {} : { [options.header.name.toLowerCase()]: options.header.value }),
      "x-correlation-id": headerText(job.correlationId),
      ...signatureHeaders({ id: begun.webhookId, body: begun.body, at: options.now() }, endpoint.keys),
    };
  }
}

function newDelivery(job: DeliverJob, endpoint: OpenEndpoint | "disabled" | undefined): NewWebhookDelivery {
  const { payload } = job;
  const format = typeof endpoint === "object" ? endpoint.settings.format : "standard";
  return {
    id: payload.delivery ?? job.id,
    endpointId: payload.endpoint,
    jobId: job.id,
    eventType: payload.eventType,
    eventId: payload.eventId,
    webhookId: webhookIdOf(payload.eventId),
    body: bodyOf(format, payload),
  };
}

/** Headers of the endpoint's own may be secrets: what is kept are their names. */
function reportOf(
  deliveryId: string,
  begun: BegunAttempt,
  answer: Exchange,
  headers: Readonly<Record<string, string>>,
) {
  return {
    deliveryId,
    number: begun.number,
    durationMs: answer.durationMs,
    requestHeaders: Object.entries(headers).flat(),
    response: answer.kind === "answered" ? answer : undefined,
    reason: undefined,
    detail: undefined,
    retryInMs: undefined,
  };
}

function headerText(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?");
}

/** When a delivery whose endpoint did not open is looked at again. */
const unopenedMs = 30_000;
const firstDelayMs = 50;
const longestDelayMs = 2_000;
/** An aborted attempt still gets this long to write down what it knows. */
const graceMs = 2_000;

/** Again and again while the ledger cannot be reached: what the endpoint answered is known only here. */
async function firmly<T>(job: Pick<DeliverJob, "signal" | "log">, work: () => Promise<T>): Promise<T> {
  const graceEnds = Date.now() + graceMs;
  for (let delayMs = firstDelayMs; ; delayMs = Math.min(delayMs * 2, longestDelayMs)) {
    try {
      return await work();
    } catch (error) {
      const again = error instanceof WarrenError && error.retryable;
      if (!again || (job.signal.aborted && Date.now() >= graceEnds)) throw error;
      job.log.warn({ err: error, delayMs }, "a delivery's outcome is not written down yet, trying again");
      await delay(delayMs);
    }
  }
}
