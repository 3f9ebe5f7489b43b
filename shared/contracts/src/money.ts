import { z } from "zod";

/** An amount of money as payment APIs write it: a decimal string, never a float, and an ISO 4217 code. */
export const money = z.object({
  value: z.string().regex(/^-?\d{1,15}(\.\d{1,4})?$/, 'expected a decimal such as "100.00"'),
  currency: z.string().regex(/^[A-Z]{3}$/, 'expected an ISO 4217 code such as "RUB"'),
});

export type Money = z.infer<typeof money>;

/** Whether two amounts are equal as numbers in the same currency: "100.0" equals "100.00". */
export function sameMoney(a: Money, b: Money): boolean {
  return a.currency === b.currency && normalised(a.value) === normalised(b.value);
}

/**
 * An amount of Stripe's API (an integer in the currency's smallest unit, a lower-case code) as `Money`.
 * Source: https://docs.stripe.com/currencies#zero-decimal (ISK and UGX are written with two decimals there, though they have none).
 */
export function moneyFromStripe(amount: number, currency: string): Money {
  const code = currency.toUpperCase();
  const digits = zeroDecimal.has(code) ? 0 : threeDecimal.has(code) ? 3 : 2;
  const units = Math.abs(Math.trunc(amount))
    .toString()
    .padStart(digits + 1, "0");
  const whole = units.slice(0, units.length - digits);
  const value = digits === 0 ? whole : `${whole}.${units.slice(units.length - digits)}`;
  return { value: amount < 0 ? `-${value}` : value, currency: code };
}

const zeroDecimal = new Set("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split(" "));
const threeDecimal = new Set("BHD JOD KWD OMR TND".split(" "));

function normalised(value: string): string {
  const [whole = "", fraction = ""] = value.replace("-", "").split(".");
  const digits = `${whole.replace(/^0+(?=\d)/, "")}.${fraction.replace(/0+$/, "")}`;
  return value.startsWith("-") && digits !== "0." ? `-${digits}` : digits;
}
