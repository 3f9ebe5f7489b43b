/** Where a payment or a refund stands. `succeeded` and `canceled` are final. Source: https://yookassa.ru/developers/payment-acceptance/getting-started/payment-process */
export const paymentStatuses = ["pending", "waiting_for_capture", "succeeded", "canceled"] as const;

export type PaymentStatus = (typeof paymentStatuses)[number];

const rank: Readonly<Record<PaymentStatus, number>> = { pending: 0, waiting_for_capture: 1, succeeded: 2, canceled: 2 };

/**
 * How one status stands to another:
 * `same`; `ahead`: can be reached from the other; `behind`: the other way round; `contradiction`: both final and different.
 */
export type Relation = "same" | "ahead" | "behind" | "contradiction";

/** How `status` stands to `other`. Pure. */
export function relate(status: PaymentStatus, other: PaymentStatus): Relation {
  if (status === other) return "same";
  if (rank[status] === rank[other]) return "contradiction";
  return rank[status] > rank[other] ? "ahead" : "behind";
}
