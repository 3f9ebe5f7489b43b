import type { SendTemplateResult, sendTemplatePayload } from "@warren/contracts";
import type { Job } from "@warren/jobs";
import type { Deliveries, DeliverySettlement, NewDelivery, UnknownPolicy } from "@warren/ledger";
import type { ProviderErrorOptions } from "@warren/resilience";
import type { z } from "zod";
import { hashAddress, maskAddress } from "./address.ts";
import { oneLine } from "./clean.ts";
import type { DeliveryMetrics } from "./delivery-metrics.ts";
import { DeliveryFencedError, DeliveryHeldError, DeliveryRejectedError, MailDeferredError } from "./errors.ts";
import type { MailProvider } from "./mail-provider.ts";
import { settleFirmly } from "./settle-firmly.ts";
import type { Handover, MailOutcome } from "./smtp-outcome.ts";
import type { Mail } from "./smtp-pool.ts";
import type { RenderedMessage, Templates } from "./templates.ts";

export interface SendTemplateOptions {
  readonly templates: Templates;
  readonly deliveries: Deliveries;
  readonly mail: MailProvider;
  readonly metrics: DeliveryMetrics;
  /** What to do when nobody knows whether an earlier attempt was delivered. */
  readonly unknownPolicy: UnknownPolicy;
  /** The right-hand side of message ids. */
  readonly messageIdDomain: string;
  /** Keys the hash of addresses in the deliveries ledger. */
  readonly recipientHashKey: string;
}

type SendTemplateJob = Pick<
  Job<z.output<typeof sendTemplatePayload>, SendTemplateResult>,
  "id" | "fence" | "payload" | "correlationId" | "signal" | "log"
>;

const channel = "email";

/** Handles `notifications.send-template`: render, begin the delivery, send, settle. One mail a job, however often the job runs. */
export function sendTemplateHandler(options: SendTemplateOptions) {
  const { templates, deliveries, mail, metrics } = options;
  const facts: ProviderErrorOptions = { provider: mail.operation.provider, operation: mail.operation.name };

  return async (job: SendTemplateJob): Promise<SendTemplateResult> => {
    const { user, template, templateVersion, data } = job.payload;
    const message = templates.render({ template, version: templateVersion, user, data });
    const delivery = newDelivery(job, message, options, facts.provider);
    const result = (outcome: SendTemplateResult["outcome"]) =>
      ({ channel, outcome, messageId: delivery.messageId }) as const;

    const begun = await deliveries.begin(delivery);
    if ("doubted" in begun && begun.doubted) metrics.count(channel, "unknown");
    switch (begun.kind) {
      case "send":
        break;
      case "accepted_before":
      case "given_up":
        metrics.count(channel, begun.kind);
        job.log.info({ delivery: begun }, "not sent again");
        return result(begun.kind);
      case "rejected_before":
        throw new DeliveryRejectedError(begun.response ?? "", facts);
      case "held":
        metrics.count(channel, "held");
        throw new DeliveryHeldError();
      case "fenced":
        throw new DeliveryFencedError(job.fence);
      default:
        return begun satisfies never;
    }

    const settle = async (outcome: Omit<DeliverySettlement, "jobId" | "channel" | "attempt">) => {
      metrics.count(channel, outcome.outcome);
      await settleFirmly(deliveries, { jobId: job.id, channel, attempt: job.fence, ...outcome }, job);
    };
    const handover: Handover = { complete: false };
    let outcome: MailOutcome;
    try {
      outcome = await mail.send(mailOf(delivery, message, job), handover, job.signal);
    } catch (error) {
      await settle({ outcome: handover.complete ? "unknown" : "deferred", ...describe(error) });
      throw error;
    }
    switch (outcome.kind) {
      case "accepted":
        await settle({ outcome: "accepted", providerId: outcome.providerId, response: outcome.response });
        return result("accepted");
      case "rejected":
        await settle({ outcome: "rejected", response: outcome.response, reason: "DELIVERY_REJECTED" });
        throw new DeliveryRejectedError(outcome.response, facts);
      case "deferred":
        await settle({ outcome: "deferred", response: outcome.response, reason: "MAIL_DEFERRED" });
        throw new MailDeferredError(outcome.response, facts);
      default:
        return outcome satisfies never;
    }
  };
}

function newDelivery(
  job: SendTemplateJob,
  message: RenderedMessage,
  options: SendTemplateOptions,
  provider: string,
): NewDelivery {
  const { email } = job.payload.user;
  return {
    jobId: job.id,
    channel,
    attempt: job.fence,
    policy: options.unknownPolicy,
    template: message.template,
    templateVersion: message.version,
    locale: message.language,
    provider,
    recipient: maskAddress(email),
    recipientHash: hashAddress(email, options.recipientHashKey),
    messageId: `<${job.id}.${channel}@${options.messageIdDomain}>`,
    correlationId: job.correlationId,
  };
}

function mailOf(delivery: NewDelivery, message: RenderedMessage, job: SendTemplateJob): Mail {
  const { user } = job.payload;
  return {
    messageId: delivery.messageId,
    to: { name: oneLine(user.name ?? ""), address: user.email },
    subject: message.subject,
    text: message.text,
    html: message.html,
    headers: {
      "X-Correlation-Id": oneLine(job.correlationId),
      "X-Warren-Job": job.id,
      "Content-Language": message.language,
      // keeps vacation responders silent (RFC 3834 §5)
      "Auto-Submitted": "auto-generated",
    },
  };
}

function describe(error: unknown): { readonly reason: string; readonly response: string } {
  const response = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "INTERNAL";
  return { reason: code, response };
}
