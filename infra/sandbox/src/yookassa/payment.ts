import { z } from "zod";

const amount = z.strictObject({ value: z.string().regex(/^\d+\.\d{2}$/), currency: z.string().regex(/^[A-Z]{3}$/) });
const metadata = z.record(z.string().max(32), z.string().max(512));
const status = z.enum(["pending", "waiting_for_capture", "succeeded", "canceled"]);

/** A payment as the API shows it. Source: https://yookassa.ru/developers/api#payment_object */
export const payment = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  status,
  paid: z.boolean(),
  amount,
  income_amount: amount.optional(),
  refunded_amount: amount.optional(),
  created_at: z.string(),
  captured_at: z.string().optional(),
  expires_at: z.string().optional(),
  description: z.string().max(128).optional(),
  recipient: z.object({ account_id: z.string(), gateway_id: z.string() }),
  confirmation: z.object({ type: z.literal("redirect"), confirmation_url: z.string() }).optional(),
  payment_method: z.object({ type: z.string(), id: z.string(), saved: z.boolean(), title: z.string().optional() }),
  cancellation_details: z.object({ party: z.string(), reason: z.string() }).optional(),
  metadata,
  refundable: z.boolean(),
  test: z.boolean(),
});

export const refund = z.object({
  id: z.string(),
  payment_id: z.string(),
  status: z.enum(["pending", "succeeded", "canceled"]),
  amount,
  created_at: z.string(),
  description: z.string().optional(),
});

/** Body of `POST /v3/payments`; unknown fields are ignored, as the real API does for those it knows and we do not. */
export const paymentRequest = z.object({
  amount,
  capture: z.boolean().default(false),
  description: z.string().max(128).optional(),
  metadata: metadata.default({}),
  confirmation: z.object({ type: z.literal("redirect"), return_url: z.string() }).optional(),
});

export const refundRequest = z.object({ payment_id: z.string(), amount, description: z.string().max(250).optional() });

/** A payment put straight into the stand-in, in whatever state a test or the demo wants. */
export const seededPayment = z.strictObject({
  id: payment.shape.id,
  status,
  amount,
  description: z.string().max(128).optional(),
  metadata: metadata.default({}),
});

export type Payment = z.infer<typeof payment>;
export type Refund = z.infer<typeof refund>;
export type SeededPayment = z.input<typeof seededPayment>;

export interface Origin {
  readonly shopId: string;
  readonly now: Date;
}

/** The payment in a given state, with the fields that belong to that state. Pure. */
export function paymentIn(seed: z.output<typeof seededPayment>, { shopId, now }: Origin): Payment {
  const { id, description, metadata: given } = seed;
  const at = now.toISOString();
  const paid = seed.status === "succeeded" || seed.status === "waiting_for_capture";
  return {
    id,
    status: seed.status,
    paid,
    amount: seed.amount,
    created_at: at,
    ...(seed.status === "succeeded"
      ? {
          captured_at: at,
          income_amount: seed.amount,
          refunded_amount: { value: "0.00", currency: seed.amount.currency },
        }
      : {}),
    ...(seed.status === "waiting_for_capture"
      ? { expires_at: new Date(now.getTime() + 7 * 24 * 3600 * 1000).toISOString() }
      : {}),
    ...(seed.status === "canceled"
      ? { cancellation_details: { party: "yoo_money", reason: "expired_on_confirmation" } }
      : {}),
    ...(description === undefined ? {} : { description }),
    recipient: { account_id: shopId, gateway_id: "1" },
    payment_method: { type: "bank_card", id, saved: false, title: "Bank card *4444" },
    metadata: given,
    refundable: seed.status === "succeeded",
    test: true,
  };
}

export type Transition = "pay" | "capture" | "cancel";

/** What a payment becomes, or undefined where its state does not allow that. `capture`: paying also captures. Pure. */
export function transition(before: Payment, how: Transition, capture: boolean, origin: Origin): Payment | undefined {
  const held = before.status === "waiting_for_capture";
  const open = before.status === "pending";
  const status =
    how === "pay" && open
      ? capture
        ? "succeeded"
        : "waiting_for_capture"
      : how === "capture" && held
        ? "succeeded"
        : how === "cancel" && (open || held)
          ? "canceled"
          : undefined;
  if (status === undefined) return undefined;
  const { id, amount: sum, description, metadata: given } = before;
  const seed = {
    id,
    status,
    amount: sum,
    metadata: given,
    ...(description === undefined ? {} : { description }),
  } as const;
  return { ...paymentIn(seed, origin), created_at: before.created_at };
}
