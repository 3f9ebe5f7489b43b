import examples from "@octokit/webhooks-examples" with { type: "json" };
import { confirmYookassaPayload, type Recipient, sendTemplatePayload, templateCatalogue } from "@warren/contracts";
import { describe, expect, test } from "vitest";
import type { WebhookEvent } from "../src/intake/event.ts";
import { createCodeRouter } from "../src/routing/code-router.ts";
import type { Origin } from "../src/routing/route.ts";
import { gather } from "../src/routing/routed.ts";
import { createRoutes } from "../src/routing/routes.ts";
import type { ProviderName } from "../src/sources/providers.ts";

const notify = { id: "operator", email: "operator@example.com", locale: "ru" };
const routes = routesFor(notify);
const origin = { correlationId: "c-1", trace: undefined };

/** The plain jobs that come of events of a provider. */
function routesFor(whom: Recipient | undefined) {
  const route = createCodeRouter(createRoutes({ notify: whom }));
  return (provider: ProviderName) => (given: WebhookEvent, from: Origin) => {
    const { jobs, routes: report } = gather(route({ ...given, provider }, from), false);
    expect(report).toBeUndefined();
    return jobs;
  };
}

function event(parts: Partial<WebhookEvent>, payload?: unknown): WebhookEvent {
  return {
    requestId: "0199c5c4-6a00-7000-8000-000000000001",
    source: "shop",
    provider: "stripe",
    eventId: "evt_1",
    eventType: "customer.created",
    eventSubject: undefined,
    receivedAt: new Date("2026-11-22T12:00:00Z"),
    payload: () => payload,
    headers: () => ({}),
    query: () => ({}),
    ...parts,
  };
}

function payment(more: Readonly<Record<string, unknown>>, livemode: unknown = true): unknown {
  const object = {
    id: "pi_1",
    amount_received: 1250,
    amount: 1250,
    currency: "eur",
    created: 1_795_348_800,
    receipt_email: "anna@example.com",
  };
  return { livemode, data: { object: { ...object, ...more } } };
}

/** The template and its data, checked as the mailer will check them. */
function mailOf(jobs: readonly { readonly name: string; readonly payload: unknown }[]) {
  expect(jobs.map(({ name }) => name)).toEqual(["notifications.send-template"]);
  const payload = sendTemplatePayload.parse(jobs[0]?.payload);
  expect(payload.user).toEqual(notify);
  if (payload.template === "payment-succeeded") templateCatalogue["payment-succeeded"][1].parse(payload.data);
  else templateCatalogue["webhook-received"][1].parse(payload.data);
  return payload;
}

describe("an event becomes a mail to the operator", () => {
  test("that says what came, from where, and where it is kept", () => {
    const { template, data } = mailOf(routes("stripe")(event({}), origin));
    expect(template).toBe("webhook-received");
    expect(data).toEqual({
      source: "shop",
      event: "customer.created",
      eventId: "evt_1",
      requestId: "0199c5c4-6a00-7000-8000-000000000001",
      receivedAt: "2026-11-22T12:00:00.000Z",
    });
  });

  test("whatever the sender calls its event", () => {
    for (const odd of [
      undefined,
      "",
      " \n\t",
      "\u0000",
      "a\r\nBcc: x@example.com",
      "\ud800",
      "x".repeat(100_000),
      "😀".repeat(400),
    ]) {
      const { data } = mailOf(routes("github")(event({ provider: "github", eventType: odd, eventId: odd }), origin));
      expect(String(data["event"])).not.toMatch(/\p{Cc}/u);
    }
  });

  test("for each of GitHub's own examples", () => {
    for (const { name } of examples as unknown as readonly { readonly name: string }[]) {
      expect(mailOf(routes("github")(event({ provider: "github", eventType: name }), origin)).data).toMatchObject({
        event: name,
      });
    }
  });

  test("with the correlation id and the trace of its request", () => {
    const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    expect(routes("hmac")(event({}), { correlationId: "c-7", trace })).toMatchObject([{ correlationId: "c-7", trace }]);
  });

  test("or none at all when there is no operator", () => {
    expect(routesFor(undefined)("github")(event({}), origin)).toEqual([]);
  });
});

describe("a payment at Stripe", () => {
  test.for([
    {
      type: "payment_intent.succeeded",
      payload: payment({}),
      template: "payment-succeeded",
      amount: { value: "12.50", currency: "EUR" },
    },
    {
      type: "charge.succeeded",
      payload: payment({ currency: "jpy" }, false),
      template: "payment-succeeded",
      amount: { value: "1250", currency: "JPY" },
    },
    { type: "payment_intent.succeeded", payload: payment({ receipt_email: null }), template: "webhook-received" },
    { type: "payment_intent.payment_failed", payload: payment({}), template: "webhook-received" },
    { type: "payment_intent.succeeded", payload: payment({ amount_received: "12" }), template: "webhook-received" },
    { type: "payment_intent.succeeded", payload: payment({ currency: "euro" }), template: "webhook-received" },
    { type: "payment_intent.succeeded", payload: payment({ created: 1e300 }), template: "webhook-received" },
    { type: "payment_intent.succeeded", payload: null, template: "webhook-received" },
    { type: "payment_intent.succeeded", payload: { data: [] }, template: "webhook-received" },
  ])("$type becomes $template", ({ type, payload, template, amount }) => {
    const mail = mailOf(routes("stripe")(event({ eventType: type }, payload), origin));
    expect(mail.template).toBe(template);
    expect(mail.data["amount"]).toEqual(amount);
  });
});

describe("a notification of YooKassa", () => {
  const object = { id: "22d6d597-000f", status: "succeeded", amount: { value: "2.00", currency: "RUB" } };

  test("becomes a question to YooKassa, not a belief", () => {
    const [job, ...others] = routes("yookassa")(
      event({ provider: "yookassa", eventType: "payment.succeeded" }, { object }),
      origin,
    );
    expect(others).toEqual([]);
    expect(job).toMatchObject({ name: "payments.confirm-yookassa", queue: "payments", correlationId: "c-1" });
    expect(confirmYookassaPayload.parse(job?.payload)).toEqual({
      event: "payment.succeeded",
      objectId: "22d6d597-000f",
      claimed: { status: "succeeded", amount: { value: "2.00", currency: "RUB" } },
      notify,
      requestId: "0199c5c4-6a00-7000-8000-000000000001",
    });
  });

  test("claims no amount when it has none that makes sense", () => {
    const odd = { ...object, amount: { value: 2, currency: "RUB" } };
    const [job] = routes("yookassa")(
      event({ provider: "yookassa", eventType: "refund.succeeded" }, { object: odd }),
      origin,
    );
    expect(confirmYookassaPayload.parse(job?.payload).claimed).toEqual({ status: "succeeded" });
  });

  test.for([
    { what: "that cannot be asked about", eventType: "payout.succeeded", payload: { object } },
    {
      what: "about an object whose id is none",
      eventType: "payment.succeeded",
      payload: { object: { ...object, id: "../me" } },
    },
  ])("$what becomes a mail", ({ eventType, payload }) => {
    expect(mailOf(routes("yookassa")(event({ provider: "yookassa", eventType }, payload), origin)).template).toBe(
      "webhook-received",
    );
  });
});

test("a subscription that SNS asks to confirm makes the job that confirms it, and tells nobody", () => {
  const TopicArn = "arn:aws:sns:eu-west-1:123456789012:orders";
  const SubscribeURL = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription";
  const message = event({ eventType: "SubscriptionConfirmation" }, { TopicArn, SubscribeURL });
  expect(routes("aws-sns")(message, origin)).toMatchObject([
    { name: "confirm-sns-subscription", payload: { topicArn: TopicArn, subscribeUrl: SubscribeURL } },
  ]);
});
