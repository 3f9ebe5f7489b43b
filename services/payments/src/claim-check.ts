import { type ConfirmYookassaPayload, sameMoney, type YookassaEvent } from "@warren/contracts";
import { PaymentBehindError, PaymentMismatchError } from "./errors.ts";
import { type PaymentStatus, relate } from "./payment-state.ts";
import type { PaymentObject } from "./yookassa.ts";

/** What an event claims its object to be. */
export function expectedOf(event: YookassaEvent): {
  readonly kind: PaymentObject["kind"];
  readonly status: PaymentStatus;
} {
  switch (event) {
    case "payment.waiting_for_capture":
      return { kind: "payment", status: "waiting_for_capture" };
    case "payment.succeeded":
      return { kind: "payment", status: "succeeded" };
    case "payment.canceled":
      return { kind: "payment", status: "canceled" };
    case "refund.succeeded":
      return { kind: "refund", status: "succeeded" };
    default:
      return event satisfies never;
  }
}

/**
 * Holds a notification against what YooKassa says. Returns when they agree, or when YooKassa is already further: notifications come late
 * and out of order. Pure.
 * @throws PaymentMismatchError when they cannot both be true; PaymentBehindError when YooKassa may still get there
 */
export function checkClaim(payload: ConfirmYookassaPayload, observed: PaymentObject): void {
  const { objectId, claimed, event } = payload;
  if (observed.id !== objectId) {
    throw new PaymentMismatchError(objectId, "the object", objectId, observed.id);
  }
  const { status: expected } = expectedOf(event);
  if (claimed.status !== expected) {
    throw new PaymentMismatchError(objectId, "the status", claimed.status, `${expected} belongs to ${event}`);
  }
  if (claimed.amount !== undefined && !sameMoney(claimed.amount, observed.amount)) {
    const [said, is] = [claimed.amount, observed.amount].map(({ value, currency }) => `${value} ${currency}`);
    throw new PaymentMismatchError(objectId, "the amount", String(said), String(is));
  }
  switch (relate(observed.status, expected)) {
    case "same":
    case "ahead":
      return;
    case "behind":
      throw new PaymentBehindError(objectId, expected, observed.status);
    case "contradiction":
      throw new PaymentMismatchError(objectId, "the status", expected, observed.status);
  }
}
