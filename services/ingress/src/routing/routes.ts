import {
  type ConfirmYookassaPayload,
  confirmYookassaPayload,
  type Money,
  money,
  moneyFromStripe,
  type Recipient,
  type SendTemplatePayload,
  sendTemplate,
} from "@warren/contracts";
import { confirmYookassaPayment, type JobDefinition, type PayloadOf, prepare, sendTemplateEmail } from "@warren/jobs";
import type { NewJob } from "@warren/ledger";
import type { WebhookEvent } from "../intake/event.ts";
import type { ProviderName } from "../sources/providers.ts";
import { member, textMember } from "../verify/json.ts";
import type { Origin, Route } from "./route.ts";

export interface RoutingOptions {
  /** Who is told of events. `undefined`: nobody, and events that would only tell somebody make no job. */
  readonly notify: Recipient | undefined;
}

/** Where the events of each provider go. */
export type Routes = (provider: ProviderName) => Route;

export function createRoutes({ notify }: RoutingOptions): Routes {
  const tell: Route = (event, origin) => (notify === undefined ? [] : mail(webhookReceived(notify, event), origin));

  const stripe: Route = (event, origin) => {
    const receipt = notify === undefined ? undefined : paymentSucceeded(notify, event);
    return receipt === undefined ? tell(event, origin) : mail(receipt, origin);
  };
  const yookassa: Route = (event, origin) => {
    const payload = yookassaClaim(event, notify);
    if (payload === undefined) return tell(event, origin);
    return [jobOf(confirmYookassaPayment, payload, origin)];
  };
  const own: Partial<Record<ProviderName, Route>> = { stripe, yookassa };
  return (provider) => own[provider] ?? tell;
}

function mail(payload: SendTemplatePayload, origin: Origin): readonly NewJob[] {
  return [jobOf(sendTemplateEmail, payload, origin)];
}

function jobOf<Definition extends JobDefinition>(
  definition: Definition,
  payload: PayloadOf<Definition>,
  { correlationId, trace }: Origin,
): NewJob {
  const job = prepare(definition, payload, undefined, "enqueuer", () => correlationId);
  return trace === undefined ? job : { ...job, trace };
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

/** Stripe's events of money that arrived and for which a receipt is due. */
const stripePayments = new Map([
  ["payment_intent.succeeded", "amount_received"],
  ["charge.succeeded", "amount"],
]);

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
