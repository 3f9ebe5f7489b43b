import type { ConfirmYookassaPayload } from "@warren/contracts";
import { array, assert, constantFrom, property } from "fast-check";
import { describe, expect, test } from "vitest";
import { checkClaim } from "../src/claim-check.ts";
import { paymentMail } from "../src/payment-mail.ts";
import { type PaymentStatus, paymentStatuses, relate } from "../src/payment-state.ts";
import type { PaymentObject } from "../src/yookassa.ts";

const rub = (value: string) => ({ value, currency: "RUB" });

function observed(fields: Partial<PaymentObject> = {}): PaymentObject {
  return {
    kind: "payment",
    id: "22d6d597-000f-5000-9000-145f6df21d6f",
    paymentId: "22d6d597-000f-5000-9000-145f6df21d6f",
    status: "succeeded",
    amount: rub("100.00"),
    test: false,
    description: "Order 37",
    reason: undefined,
    metadata: {},
    occurredAt: "2026-11-22T05:00:00.000Z",
    ...fields,
  };
}

function notification(fields: Partial<ConfirmYookassaPayload> = {}): ConfirmYookassaPayload {
  return {
    event: "payment.succeeded",
    objectId: observed().id,
    claimed: { status: "succeeded", amount: rub("100.00") },
    ...fields,
  };
}

const event = (name: ConfirmYookassaPayload["event"], status: string) => ({ event: name, claimed: { status } });

describe("a notification is believed", () => {
  test.for([
    { when: "YooKassa says the same", says: notification(), is: observed() },
    { when: "the amount is written differently", says: notification(), is: observed({ amount: rub("100.0") }) },
    { when: "it claims no amount", says: notification({ claimed: { status: "succeeded" } }), is: observed() },
    {
      when: "it is late and the payment has gone on to succeed",
      says: notification(event("payment.waiting_for_capture", "waiting_for_capture")),
      is: observed({ status: "succeeded" }),
    },
    {
      when: "it is late and the payment was canceled since",
      says: notification(event("payment.waiting_for_capture", "waiting_for_capture")),
      is: observed({ status: "canceled" }),
    },
    {
      when: "a refund has succeeded",
      says: notification(event("refund.succeeded", "succeeded")),
      is: observed({ kind: "refund" }),
    },
  ])("when $when", ({ says, is }) => {
    expect(() => checkClaim(says, is)).not.toThrow();
  });
});

describe("a notification is refused", () => {
  test.for([
    {
      when: "the amount is another",
      says: notification(),
      is: observed({ amount: rub("1.00") }),
      code: "PAYMENT_MISMATCH",
    },
    {
      when: "the currency is another",
      says: notification(),
      is: observed({ amount: { value: "100.00", currency: "USD" } }),
      code: "PAYMENT_MISMATCH",
    },
    {
      when: "it was canceled instead",
      says: notification(),
      is: observed({ status: "canceled" }),
      code: "PAYMENT_MISMATCH",
    },
    {
      when: "it succeeded instead",
      says: notification(event("payment.canceled", "canceled")),
      is: observed(),
      code: "PAYMENT_MISMATCH",
    },
    {
      when: "its event and its status do not belong together",
      says: notification({ claimed: { status: "pending" } }),
      is: observed(),
      code: "PAYMENT_MISMATCH",
    },
    {
      when: "the answer is about another object",
      says: notification(),
      is: observed({ id: "other" }),
      code: "PAYMENT_MISMATCH",
    },
  ])("for good when $when", ({ says, is, code }) => {
    expect(() => checkClaim(says, is)).toThrow(expect.objectContaining({ code, retryable: false }));
  });

  test.for(["pending", "waiting_for_capture"] as const)("for now while YooKassa still says %s", (status) => {
    expect(() => checkClaim(notification(), observed({ status }))).toThrow(
      expect.objectContaining({ code: "PAYMENT_BEHIND", retryable: true }),
    );
  });
});

describe("the state machine of payments", () => {
  const status = constantFrom(...paymentStatuses);

  test("never moves backwards and never leaves a final status, whatever order statuses are seen in", () => {
    assert(
      property(array(status, { maxLength: 12 }), (seen) => {
        let current: PaymentStatus = "pending";
        const reached: PaymentStatus[] = [current];
        for (const next of seen) {
          if (relate(next, current) !== "ahead") continue;
          current = next;
          reached.push(current);
        }
        expect(reached).toEqual([...new Set(reached)]);
        expect(reached.filter((one) => one === "succeeded" || one === "canceled").length).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("is antisymmetric: if one is ahead of another, the other is behind it", () => {
    const mirror = { same: "same", ahead: "behind", behind: "ahead", contradiction: "contradiction" } as const;
    assert(
      property(status, status, (a, b) => {
        expect(relate(a, b)).toBe(mirror[relate(b, a)]);
      }),
    );
  });
});

describe("the mail about a payment", () => {
  const user = { id: "7", email: "anna@example.com", locale: "ru" };

  test.for([
    { is: observed(), template: "payment-succeeded", status: undefined },
    { is: observed({ status: "waiting_for_capture" }), template: "payment-status", status: "waiting_for_capture" },
    { is: observed({ status: "canceled", reason: "payer: expired" }), template: "payment-status", status: "canceled" },
    { is: observed({ kind: "refund" }), template: "payment-status", status: "refunded" },
  ])("a $is.kind that is $is.status gets $template", ({ is, template, status }) => {
    const mail = paymentMail(user, is);
    expect(mail?.template).toBe(template);
    expect(mail?.data.status).toBe(status);
  });

  test("a pending payment gets none", () => {
    expect(paymentMail(user, observed({ status: "pending" }))).toBeUndefined();
  });
});
