import {
  type ConfirmYookassaPayload,
  type confirmSnsPayload,
  confirmYookassaPayload,
  type Money,
  money,
  moneyFromStripe,
  type Recipient,
  type SendTemplatePayload,
  sendTemplate,
} from "@warren/contracts";
import { confirmSnsSubscription, confirmYookassaPayment, sendTemplateEmail } from "@warren/jobs";
import type { z } from "zod";
import type { WebhookEvent } from "../intake/event.ts";
import { member, textMember } from "../verify/json.ts";
import { type CodeRule, route } from "./route.ts";

export interface RoutingOptions {
  /** Who is told of events. `undefined`: nobody, and events that would only tell somebody make no job. */
  readonly notify: Recipient | undefined;
}

/** Stripe's events of money that arrived and for which a receipt is due. */
const stripePayments = new Map([
  ["payment_intent.succeeded", "amount_received"],
  ["charge.succeeded", "amount"],
]);

/**
 * Which jobs, events and deliveries come of webhooks, in this order: add yours here. A rule that throws leaves its failure with the request,
 * which is acknowledged all the same, and can be routed again once the rule is mended.
 */
export function createRoutes({ notify }: RoutingOptions): readonly CodeRule[] {
  return [
    route({ name: "yookassa-claim", provider: "yookassa" }).toJob(confirmYookassaPayment, (event) =>
      yookassaClaim(event, notify),
    ),
    route({ name: "sns-subscription", provider: "aws-sns", types: ["SubscriptionConfirmation"] }).toJob(
      confirmSnsSubscription,
      (event) => snsSubscription(event.payload()),
    ),
    route({ name: "stripe-receipt", provider: "stripe", types: [...stripePayments.keys()] }).toJob(
      sendTemplateEmail,
      (event) => (notify === undefined ? undefined : paymentSucceeded(notify, event)),
    ),
    route({ name: "tell-operator", otherwise: true }).toJob(sendTemplateEmail, (event) =>
      notify === undefined ? undefined : webhookReceived(notify, event),
    ),
  ];
}

function snsSubscription(message: unknown): z.input<typeof confirmSnsPayload> {
  return { topicArn: textMember(message, "TopicArn") ?? "", subscribeUrl: textMember(message, "SubscribeURL") ?? "" };
}

function webhookReceived(to: Recipient, event: WebhookEvent): SendTemplatePayload {
  return sendTemplate(to, "webhook-received", {
    source: event.source,
    event: line(event.eventType) ?? "unnamed event",
    requestId: event.requestId,
    receivedAt: event.receivedAt.toISOString(),
    ...optional("eventId", line(event.eventId)),
  });
}

/** `undefined` when the event is no such payment, or is not of the documented shape. */
function paymentSucceeded(to: Recipient, event: WebhookEvent): SendTemplatePayload | undefined {
  const amountField = stripePayments.get(event.eventType ?? "");
  if (amountField === undefined) return undefined;
  const payload = event.payload();
  const object = member(member(payload, "data"), "object");
  const amount = member(object, amountField);
  const currency = textMember(object, "currency");
  const paymentId = line(textMember(object, "id"));
  const created = member(object, "created");
  if (textMember(object, "receipt_email") === undefined || paymentId === undefined) return undefined;
  if (typeof amount !== "number" || typeof created !== "number" || currency === undefined) return undefined;
  const paid = money.safeParse(moneyFromStripe(amount, currency));
  const paidAt = new Date(created * 1000);
  if (!paid.success || Number.isNaN(paidAt.getTime())) return undefined;
  return sendTemplate(to, "payment-succeeded", {
    provider: "stripe",
    paymentId,
    amount: paid.data,
    paidAt: paidAt.toISOString(),
    test: member(payload, "livemode") === false,
    ...optional("description", line(textMember(object, "description"))),
  });
}

/** `undefined` for events that cannot be confirmed: payouts, deals, payment methods. */
function yookassaClaim(event: WebhookEvent, notify: Recipient | undefined): ConfirmYookassaPayload | undefined {
  const object = member(event.payload(), "object");
  const amount = money.safeParse(member(object, "amount"));
  const claim = confirmYookassaPayload.safeParse({
    event: event.eventType,
    objectId: textMember(object, "id"),
    claimed: {
      status: textMember(object, "status"),
      ...optional<"amount", Money>("amount", amount.success ? amount.data : undefined),
    },
    requestId: event.requestId,
    ...optional("notify", notify),
  });
  return claim.success ? claim.data : undefined;
}

const maxLineLength = 500;

/** A sender's text as one bounded line that every store and mail can hold. */
function line(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const clean = text
    .toWellFormed()
    .replaceAll(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, maxLineLength)
    .toWellFormed();
  return clean === "" ? undefined : clean;
}

function optional<Name extends string, Value>(name: Name, value: Value | undefined): { readonly [N in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [N in Name]?: Value });
}
