import { randomUUID } from "node:crypto";
import examples from "@octokit/webhooks-examples" with { type: "json" };
import { z } from "zod";

const definitions = z.array(z.object({ name: z.string(), examples: z.array(z.unknown()) }));

export interface GithubExample {
  readonly event: string;
  readonly body: Buffer;
}

/** The real payloads of `@octokit/webhooks-examples`: 329 of 58 kinds. */
export function githubExamples(): readonly GithubExample[] {
  return definitions
    .parse(examples)
    .flatMap(({ name, examples: bodies }) =>
      bodies.map((example) => ({ event: name, body: Buffer.from(JSON.stringify(example)) })),
    );
}

const stripeKinds = ["payment_intent.succeeded", "charge.succeeded", "customer.created", "invoice.finalized"] as const;

/** An event of the documented shape. Source: https://docs.stripe.com/api/events/object */
export function stripeEvent(at: number, now: Date): Buffer {
  const type = stripeKinds[at % stripeKinds.length] ?? "customer.created";
  const created = Math.floor(now.getTime() / 1000);
  const id = randomUUID().replaceAll("-", "");
  return Buffer.from(
    JSON.stringify({
      id: `evt_${id}`,
      object: "event",
      api_version: "2026-08-27",
      created,
      livemode: false,
      pending_webhooks: 1,
      request: { id: `req_${id.slice(0, 14)}`, idempotency_key: randomUUID() },
      type,
      data: { object: stripeObject(type, id, created, 1000 + ((at * 37) % 90_000)) },
    }),
  );
}

function stripeObject(type: (typeof stripeKinds)[number], id: string, created: number, amount: number): unknown {
  const customer = `cus_${id.slice(0, 14)}`;
  const receipt = { receipt_email: "customer@example.com", currency: "usd", created, customer, livemode: false };
  switch (type) {
    case "payment_intent.succeeded":
      return {
        ...receipt,
        id: `pi_${id}`,
        object: "payment_intent",
        amount,
        amount_received: amount,
        description: "Order of the demo",
        status: "succeeded",
        latest_charge: `ch_${id}`,
        metadata: {},
      };
    case "charge.succeeded":
      return {
        ...receipt,
        id: `ch_${id}`,
        object: "charge",
        amount,
        amount_captured: amount,
        amount_refunded: 0,
        captured: true,
        description: "Order of the demo",
        paid: true,
        payment_intent: `pi_${id}`,
        status: "succeeded",
        metadata: {},
      };
    case "customer.created":
      return {
        id: customer,
        object: "customer",
        created,
        email: "customer@example.com",
        livemode: false,
        metadata: {},
      };
    case "invoice.finalized":
      return {
        id: `in_${id}`,
        object: "invoice",
        amount_due: amount,
        currency: "usd",
        created,
        customer,
        livemode: false,
        status: "open",
        lines: { object: "list", data: [], has_more: false },
      };
    default:
      return type satisfies never;
  }
}

export interface YookassaNotice {
  readonly paymentId: string;
  readonly amount: { readonly value: string; readonly currency: string };
  readonly body: Buffer;
}

/** A notification of the documented shape. Source: https://yookassa.ru/developers/using-api/webhooks */
export function yookassaNotice(at: number, now: Date): YookassaNotice {
  const paymentId = randomUUID();
  const amount = { value: `${100 + ((at * 53) % 9000)}.00`, currency: "RUB" };
  const time = now.toISOString();
  const object = {
    id: paymentId,
    status: "succeeded",
    paid: true,
    amount,
    income_amount: amount,
    refunded_amount: { value: "0.00", currency: "RUB" },
    created_at: time,
    captured_at: time,
    description: "Заказ из демонстрации",
    recipient: { account_id: "sandbox-shop", gateway_id: "1" },
    payment_method: { type: "bank_card", id: paymentId, saved: false, title: "Bank card *4444" },
    metadata: {},
    refundable: true,
    test: true,
  };
  return {
    paymentId,
    amount,
    body: Buffer.from(JSON.stringify({ type: "notification", event: "payment.succeeded", object })),
  };
}
