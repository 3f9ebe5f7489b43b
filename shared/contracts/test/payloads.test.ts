import { assert, integer, property } from "fast-check";
import { describe, expect, test } from "vitest";
import {
  confirmYookassaPayload,
  currentTemplateVersion,
  emailAddress,
  money,
  moneyFromStripe,
  sameMoney,
  sendTemplate,
  sendTemplatePayload,
  templateCatalogue,
} from "../src/index.ts";

describe("money", () => {
  test.for([
    { amount: 1099, currency: "usd", value: "10.99" },
    { amount: 5, currency: "eur", value: "0.05" },
    { amount: 500, currency: "jpy", value: "500" },
    { amount: 1234567, currency: "kwd", value: "1234.567" },
    { amount: 1000, currency: "isk", value: "10.00" },
    { amount: -250, currency: "rub", value: "-2.50" },
    { amount: 0, currency: "usd", value: "0.00" },
  ])("$amount of Stripe's $currency is $value", ({ amount, currency, value }) => {
    expect(moneyFromStripe(amount, currency)).toEqual({ value, currency: currency.toUpperCase() });
  });

  test("from Stripe is always valid money and equal to itself in another spelling", () => {
    assert(
      property(integer({ min: -1_000_000_000, max: 1_000_000_000 }), (amount) => {
        const made = money.parse(moneyFromStripe(amount, "usd"));
        expect(sameMoney(made, { ...made, value: `${made.value}0` })).toBe(true);
        expect(Math.round(Number(made.value) * 100)).toBe(amount === 0 ? 0 : amount);
      }),
    );
  });

  test.for([
    ["100", "100.00", true],
    ["100.10", "100.1", true],
    ["0100", "100", true],
    ["-0", "0.00", true],
    ["100", "100.01", false],
    ["10", "100", false],
    ["-1", "1", false],
  ] as const)("%s and %s are the same amount: %s", ([left, right, same]) => {
    expect(sameMoney({ value: left, currency: "RUB" }, { value: right, currency: "RUB" })).toBe(same);
  });

  test("of two currencies is never the same", () => {
    expect(sameMoney({ value: "1", currency: "RUB" }, { value: "1", currency: "USD" })).toBe(false);
  });

  test.for(["1,5", "1e3", "", "NaN", " 1", "1.", ".5", "1.23456"])("%j is no amount", (value) => {
    expect(money.safeParse({ value, currency: "RUB" }).success).toBe(false);
  });
});

describe("an address", () => {
  test.for(["anna@example.com", "a+b@sub.example.co", "анна@пример.рф", "x@localhost"])("%s is one", (address) => {
    expect(emailAddress.safeParse(address).success).toBe(true);
  });

  test.for([
    "a@b.c, d@e.f",
    "a@b.c;d@e.f",
    "Anna <a@b.c>",
    "a@b.c\r\nBcc: d@e.f",
    "a b@c.d",
    "a@@b.c",
    "@b.c",
    "a@",
    '"a"@b.c',
    `${"a".repeat(65)}@b.c`,
    `a@${"b".repeat(260)}`,
  ])("%j is none: it could become a second recipient or a header", (address) => {
    expect(emailAddress.safeParse(address).success).toBe(false);
  });
});

describe("a mail's payload", () => {
  const user = { id: "7", email: "anna@example.com" };

  test("pins the current version of its template and speaks English by default", () => {
    const payload = sendTemplatePayload.parse(
      sendTemplate(user, "welcome", { product: "Warren", signInUrl: "https://x.y" }),
    );
    expect(payload).toMatchObject({ template: "welcome", templateVersion: 2, user: { locale: "en" } });
  });

  test("whose data does not fit its template does not compile", () => {
    // @ts-expect-error signInUrl is missing
    const made = sendTemplate(user, "welcome", { product: "Warren" });
    // @ts-expect-error there is no such template
    sendTemplate(user, "welcom", { product: "Warren" });
    // @ts-expect-error an amount is a decimal string
    sendTemplate(user, "payment-succeeded", { provider: "x", paymentId: "x", amount: { value: 1 }, paidAt: "now" });
    // at run time it is refused when it is rendered
    expect(made.template).toBe("welcome");
  });

  test("every template has a current version in the catalogue", () => {
    for (const [template, version] of Object.entries(currentTemplateVersion)) {
      expect(templateCatalogue).toHaveProperty([template, String(version)]);
    }
  });
});

test.for(["../me", "a/b", "", "x".repeat(65), "a b"])(
  "%j is no id of a payment: it becomes part of a path",
  (objectId) => {
    const payload = { event: "payment.succeeded", objectId, claimed: { status: "succeeded" } };
    expect(confirmYookassaPayload.safeParse(payload).success).toBe(false);
  },
);
