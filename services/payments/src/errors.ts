import { WarrenError } from "@warren/contracts";

/** The provider has no such object: a forged notification, or keys of another shop. */
export class PaymentNotFoundError extends WarrenError {
  constructor(objectId: string, cause: unknown) {
    super("PAYMENT_NOT_FOUND", `YooKassa knows no object ${objectId}.`, { details: { objectId }, cause });
  }
}

/** The provider contradicts the notification, or itself. */
export class PaymentMismatchError extends WarrenError {
  constructor(objectId: string, field: string, claimed: string, observed: string) {
    super("PAYMENT_MISMATCH", `${objectId}: the notification claims ${field} ${claimed}, YooKassa says ${observed}.`, {
      details: { objectId, field, claimed, observed },
    });
  }
}

/** The provider does not show the claimed state yet. */
export class PaymentBehindError extends WarrenError {
  constructor(objectId: string, claimed: string, observed: string) {
    super("PAYMENT_BEHIND", `${objectId}: the notification claims ${claimed}, YooKassa still says ${observed}.`, {
      retryable: true,
      details: { objectId, claimed, observed },
    });
  }
}
