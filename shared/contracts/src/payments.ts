import { z } from "zod";
import { money } from "./money.ts";
import { recipient } from "./notifications.ts";

/** Events of YooKassa that Warren confirms. Source: https://yookassa.ru/developers/using-api/webhooks */
export const yookassaEvent = z.enum([
  "payment.waiting_for_capture",
  "payment.succeeded",
  "payment.canceled",
  "refund.succeeded",
]);

/**
 * Payload of the job `payments.confirm-yookassa`. YooKassa signs nothing, so everything here is a hint: the worker gets the object
 * from YooKassa's API and believes only that.
 */
export const confirmYookassaPayload = z.object({
  event: yookassaEvent,
  /** The id of the object the notification is about: a payment's, or a refund's for `refund.succeeded`. */
  objectId: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  /** What the notification claimed. A claim that the API contradicts ends the job as dead. */
  claimed: z.object({ status: z.string().max(64), amount: money.optional() }),
  /** Who gets the receipt. Absent: no mail is sent. */
  notify: recipient.optional(),
  /** Warren's id of the stored webhook request. */
  requestId: z.uuid().optional(),
});

/** Result of the job `payments.confirm-yookassa`. `recorded`: the state moved forward; `unchanged`: it was known already. */
export const confirmYookassaResult = z.object({
  paymentId: z.string(),
  status: z.string(),
  change: z.enum(["recorded", "unchanged"]),
  mailJobId: z.uuid().optional(),
});

export type YookassaEvent = z.infer<typeof yookassaEvent>;
export type ConfirmYookassaPayload = z.input<typeof confirmYookassaPayload>;
export type ConfirmYookassaResult = z.infer<typeof confirmYookassaResult>;

/** Name, queue and shapes of the job: what its producer and its consumer share. */
export const confirmYookassaJob = {
  name: "payments.confirm-yookassa",
  queue: "payments",
  version: 1,
  payload: confirmYookassaPayload,
  result: confirmYookassaResult,
  /** The breaker that holds these jobs while it is open (reading a payment and reading a refund share it: same host, same key). */
  breakers: ["yookassa:get-payment"],
} as const;
