import { type Recipient, type SendTemplatePayload, sendTemplate } from "@warren/contracts";
import type { PaymentObject } from "./yookassa.ts";

const providerName = "YooKassa";

/** The mail about a status that was reached; none for `pending`. Pure. */
export function paymentMail(user: Recipient, observed: PaymentObject): SendTemplatePayload | undefined {
  const { status, amount, occurredAt, test } = observed;
  if (status === "pending") return undefined;
  if (observed.kind === "payment" && status === "succeeded") {
    return sendTemplate(user, "payment-succeeded", {
      provider: providerName,
      paymentId: observed.id,
      amount,
      paidAt: occurredAt,
      test,
      ...(observed.description ? { description: observed.description } : {}),
    });
  }
  return sendTemplate(user, "payment-status", {
    provider: providerName,
    paymentId: observed.paymentId,
    status: status === "succeeded" ? "refunded" : status,
    amount,
    at: occurredAt,
    ...(observed.reason ? { reason: observed.reason } : {}),
  });
}
