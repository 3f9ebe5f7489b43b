import { randomUUID } from "node:crypto";
import type { z } from "zod";
import type { Book } from "./book.ts";
import type { Answer } from "./idempotence.ts";
import { type Origin, paymentIn, paymentRequest, refundRequest, type Transition, transition } from "./payment.ts";

export interface ApiRequest {
  readonly method: string;
  /** Path below `/v3`. */
  readonly path: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly body: unknown;
  readonly origin: Origin;
}

/** What the API answers to an authenticated request. The only place that changes the book. */
export function answerApi(book: Book, { method, path, query, body, origin }: ApiRequest): Answer {
  const [collection = "", id, action] = path.split("/").filter(Boolean);
  const route = `${method} ${collection}${id === undefined ? "" : "/:id"}${action === undefined ? "" : `/${action}`}`;
  switch (route) {
    case "POST payments":
      return create(book, body, origin);
    case "GET payments":
      return list(book, query);
    case "GET payments/:id":
      return found(book.payment(id ?? "")?.payment);
    case "POST payments/:id/capture":
      return move(book, id ?? "", "capture", origin);
    case "POST payments/:id/cancel":
      return move(book, id ?? "", "cancel", origin);
    case "POST refunds":
      return refundPayment(book, body, origin);
    case "GET refunds/:id":
      return found(book.refund(id ?? ""));
    case "GET me":
      return ok({ account_id: origin.shopId, status: "enabled", test: true, payment_methods: ["bank_card"] });
    default:
      return failure(404, "not_found", "There is no such method.");
  }
}

/** The API's error body. Source: https://yookassa.ru/developers/using-api/response-handling/http-codes */
export function failure(status: number, code: string, description: string, parameter?: string): Answer {
  const body = {
    type: "error",
    id: randomUUID(),
    code,
    description,
    ...(parameter === undefined ? {} : { parameter }),
  };
  return { status, body };
}

/** Moves a payment on as its payer would (`pay`), or as the shop would. */
export function move(book: Book, id: string, how: Transition, origin: Origin): Answer {
  const stored = book.payment(id);
  if (stored === undefined) return found(undefined);
  const after = transition(stored.payment, how, stored.capture, origin);
  if (after === undefined) {
    return failure(400, "invalid_request", `A payment that is ${stored.payment.status} does not take ${how}.`);
  }
  book.putPayments([{ ...stored, payment: after }]);
  return ok(after);
}

function create(book: Book, body: unknown, origin: Origin): Answer {
  const request = paymentRequest.safeParse(body);
  if (!request.success) return invalid(request.error);
  const { amount, description, metadata, capture, confirmation } = request.data;
  const id = randomUUID();
  const made = paymentIn(
    { id, status: "pending", amount, metadata, ...(description === undefined ? {} : { description }) },
    origin,
  );
  const withLink =
    confirmation === undefined
      ? made
      : {
          ...made,
          confirmation: { type: "redirect" as const, confirmation_url: `https://yoomoney.example/pay/${id}` },
        };
  book.putPayments([{ payment: withLink, capture }]);
  return ok(withLink);
}

function list(book: Book, query: ApiRequest["query"]): Answer {
  const limit = Math.min(Math.max(Number(query["limit"] ?? 10) || 10, 1), 100);
  const all = book.payments().filter(({ status }) => query["status"] === undefined || status === query["status"]);
  const start = query["cursor"] === undefined ? 0 : all.findIndex(({ id }) => id === query["cursor"]) + 1;
  const items = all.slice(start, start + limit);
  const last = items.at(-1);
  const more = start + limit < all.length && last !== undefined;
  return ok({ type: "list", items, ...(more ? { next_cursor: last.id } : {}) });
}

function refundPayment(book: Book, body: unknown, origin: Origin): Answer {
  const request = refundRequest.safeParse(body);
  if (!request.success) return invalid(request.error);
  const { payment_id, amount, description } = request.data;
  const stored = book.payment(payment_id);
  if (stored?.payment.status !== "succeeded") {
    return failure(400, "invalid_request", "Only a payment that succeeded can be refunded.", "payment_id");
  }
  const before = book.refundsOf(payment_id).reduce((sum, made) => sum + kopecks(made.amount.value), 0);
  const total = before + kopecks(amount.value);
  if (amount.currency !== stored.payment.amount.currency || total > kopecks(stored.payment.amount.value)) {
    return failure(400, "invalid_request", "The refund is larger than what is left of the payment.", "amount");
  }
  const made = {
    id: randomUUID(),
    payment_id,
    status: "succeeded" as const,
    amount,
    created_at: origin.now.toISOString(),
    ...(description === undefined ? {} : { description }),
  };
  book.putRefund(made);
  const refunded = { value: (total / 100).toFixed(2), currency: amount.currency };
  book.putPayments([{ ...stored, payment: { ...stored.payment, refunded_amount: refunded } }]);
  return ok(made);
}

function kopecks(value: string): number {
  return Math.round(Number(value) * 100);
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function found(object: unknown): Answer {
  return object === undefined ? failure(404, "not_found", "There is no such object in this shop.") : ok(object);
}

function invalid(error: z.ZodError): Answer {
  const [issue] = error.issues;
  return failure(400, "invalid_request", issue?.message ?? "The request is malformed.", issue?.path.join("."));
}
