import type { ErrorCode } from "@warren/contracts";
import type { Exchange } from "./exchange.ts";

/** What an exchange means for the delivery and for its endpoint. */
export type DeliveryVerdict =
  | { readonly kind: "delivered" }
  | {
      readonly kind: "failed";
      readonly reason: ErrorCode;
      readonly detail: string;
      /** The endpoint was away or overloaded, rather than saying no: counts for its breaker. */
      readonly outage: boolean;
      /** It asks for a rest: its other deliveries are held for this long. */
      readonly restMs: number | undefined;
      /** The next try is no earlier. */
      readonly retryAfterMs: number;
      /** It wants no more deliveries, ever. */
      readonly gone: boolean;
    };

export interface VerdictPolicy {
  /** How long an endpoint rests that says it is overloaded and not for how long. */
  readonly restMs: number;
  readonly maxRestMs: number;
}

/** Statuses by which an endpoint says that it is overloaded. Source: Standard Webhooks, "Deliverability and reliability". */
const overloaded: ReadonlySet<number> = new Set([429, 502, 504]);

/** Total and pure: 2xx is success, everything else is not; 410 ends the endpoint, redirects are not followed. */
export function judge(exchange: Exchange, policy: VerdictPolicy): DeliveryVerdict {
  if (exchange.kind === "unanswered") {
    const { reason, detail } = exchange;
    return {
      kind: "failed",
      reason,
      detail,
      outage: reason !== "ENDPOINT_ADDRESS_REFUSED",
      restMs: undefined,
      retryAfterMs: 0,
      gone: false,
    };
  }
  const { status, retryAfterMs } = exchange;
  if (status >= 200 && status < 300) return { kind: "delivered" };
  const redirected = status >= 300 && status < 400;
  const rests = overloaded.has(status) || (status === 503 && retryAfterMs !== undefined);
  return {
    kind: "failed",
    reason: redirected ? "DELIVERY_REDIRECTED" : "DELIVERY_STATUS",
    detail: `the endpoint answered ${status}`,
    outage: status >= 500 || status === 408 || status === 425 || status === 429,
    restMs: rests ? Math.min(retryAfterMs ?? policy.restMs, policy.maxRestMs) : undefined,
    retryAfterMs: retryAfterMs ?? 0,
    gone: status === 410,
  };
}
