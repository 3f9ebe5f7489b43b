import type { ConfirmYookassaResult, confirmYookassaPayload } from "@warren/contracts";
import { type Job, sendTemplateEmail } from "@warren/jobs";
import type { Ledger } from "@warren/ledger";
import type { z } from "zod";
import { checkClaim, expectedOf } from "./claim-check.ts";
import { paymentMail } from "./payment-mail.ts";
import type { PaymentMetrics } from "./payment-metrics.ts";
import { recordPayment } from "./payment-record.ts";
import type { Yookassa } from "./yookassa.ts";

export interface ConfirmYookassaOptions {
  readonly yookassa: Yookassa;
  readonly ledger: Pick<Ledger, "transaction" | "table">;
  readonly metrics: PaymentMetrics;
}

type ConfirmJob = Pick<
  Job<z.output<typeof confirmYookassaPayload>, ConfirmYookassaResult>,
  "id" | "payload" | "correlationId" | "signal" | "log" | "complete" | "enqueue"
>;

const provider = "yookassa";

/**
 * Handles `payments.confirm-yookassa`: ask YooKassa, hold the notification against the answer, and then, in one transaction, record the
 * payment, enqueue the mail about it and complete the job. Whatever interrupts it, all three happened or none.
 */
export function confirmYookassaHandler(options: ConfirmYookassaOptions) {
  const { yookassa, ledger, metrics } = options;

  return async (job: ConfirmJob): Promise<ConfirmYookassaResult> => {
    const { payload } = job;
    const { kind } = expectedOf(payload.event);
    const observed = await yookassa.get(kind, payload.objectId, job.signal);
    checkClaim(payload, observed);

    const result = await ledger.transaction(async (tx) => {
      const change = await recordPayment(tx, ledger.table, provider, observed, {
        jobId: job.id,
        correlationId: job.correlationId,
      });
      const mail =
        change.kind === "recorded" && payload.notify !== undefined ? paymentMail(payload.notify, observed) : undefined;
      const enqueued =
        mail === undefined
          ? undefined
          : await job.enqueue(sendTemplateEmail, mail, { tx, id: `${provider}:${observed.id}:${observed.status}` });
      const outcome: ConfirmYookassaResult = {
        paymentId: observed.paymentId,
        status: change.kind === "unchanged" ? change.status : observed.status,
        change: change.kind,
        ...(enqueued === undefined ? {} : { mailJobId: enqueued.id }),
      };
      await job.complete(tx, outcome);
      return outcome;
    });
    metrics.count(provider, observed.status, result.change);
    return result;
  };
}
