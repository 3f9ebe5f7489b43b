import { money } from "@warren/contracts";
import { createHttpClient, type Operation, type Provider, ProviderRejectedError, path } from "@warren/resilience";
import { z } from "zod";
import { PaymentNotFoundError } from "./errors.ts";
import { type PaymentStatus, paymentStatuses } from "./payment-state.ts";

export interface YookassaOptions {
  readonly provider: Provider;
  /** `https://api.yookassa.ru/v3`. */
  readonly baseUrl: string;
  readonly shopId: string;
  readonly secretKey: string;
  /** For one try, answer included. */
  readonly timeoutMs: number;
  /** Calls at once. */
  readonly concurrent: number;
  readonly breaker: {
    readonly failures: number;
    readonly halfOpenAfterMs: number;
    readonly maxHalfOpenAfterMs: number;
  };
}

/** A payment or refund as YooKassa shows it. */
export interface PaymentObject {
  readonly kind: "payment" | "refund";
  readonly id: string;
  /** The payment that a refund gives back; of a payment its own id. */
  readonly paymentId: string;
  readonly status: PaymentStatus;
  readonly amount: z.infer<typeof money>;
  readonly test: boolean;
  readonly description: string | undefined;
  /** Why it was canceled: `party: reason`. */
  readonly reason: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  /** When it reached its status, as far as YooKassa says. */
  readonly occurredAt: string;
}

/** Reads from YooKassa's API, behind the breaker `yookassa:get-payment`. */
export interface Yookassa extends AsyncDisposable {
  readonly operation: Operation;
  /**
   * @throws PaymentNotFoundError
   * @throws ProviderError
   */
  get(kind: PaymentObject["kind"], id: string, signal: AbortSignal): Promise<PaymentObject>;
}

/** Tolerant: what we do not use may change. Source: https://yookassa.ru/developers/api#payment_object */
const object = z.object({
  id: z.string(),
  payment_id: z.string().optional(),
  status: z.enum(paymentStatuses),
  amount: money,
  created_at: z.iso.datetime({ offset: true }),
  captured_at: z.iso.datetime({ offset: true }).optional(),
  description: z.string().optional(),
  test: z.boolean().optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  cancellation_details: z.object({ party: z.string(), reason: z.string() }).optional(),
});

/** Wrong keys are our mistake, not the payment's: the breaker opens and the jobs wait until the configuration is mended. */
const wrongKeys = [401, 403];

export function openYookassa(options: YookassaOptions): Yookassa {
  const { provider } = options;
  const operation = provider.operation({
    name: "get-payment",
    timeoutMs: options.timeoutMs,
    bulkhead: { concurrent: options.concurrent, queued: 10_000 },
    breaker: {
      threshold: { kind: "consecutive", failures: options.breaker.failures },
      halfOpenAfterMs: options.breaker.halfOpenAfterMs,
      maxHalfOpenAfterMs: options.breaker.maxHalfOpenAfterMs,
    },
    retry: { attempts: 2, baseDelayMs: 300, maxDelayMs: 2_000, safe: true },
  });
  const credentials = Buffer.from(`${options.shopId}:${options.secretKey}`).toString("base64");
  const client = createHttpClient({
    provider,
    baseUrl: options.baseUrl,
    headers: { authorization: `Basic ${credentials}` },
    idempotencyKeyHeader: "Idempotence-Key",
    connections: options.concurrent,
    alsoRetryable: wrongKeys,
  });

  return {
    operation,
    async get(kind, id, signal) {
      try {
        const { body } = await client.request({
          operation,
          method: "GET",
          path: kind === "payment" ? path`/payments/${id}` : path`/refunds/${id}`,
          schema: object,
          signal,
        });
        return paymentObject(kind, body);
      } catch (error) {
        const gone = error instanceof ProviderRejectedError && error.response?.status === 404;
        throw gone ? new PaymentNotFoundError(id, error) : error;
      }
    },
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

function paymentObject(kind: PaymentObject["kind"], body: z.infer<typeof object>): PaymentObject {
  const canceled = body.cancellation_details;
  return {
    kind,
    id: body.id,
    paymentId: kind === "payment" ? body.id : (body.payment_id ?? body.id),
    status: body.status,
    amount: body.amount,
    test: body.test === true,
    description: body.description,
    reason: canceled === undefined ? undefined : `${canceled.party}: ${canceled.reason}`,
    metadata: body.metadata ?? {},
    occurredAt: body.captured_at ?? body.created_at,
  };
}
