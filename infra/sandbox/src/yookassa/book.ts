import { appendFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { type Payment, payment, type Refund, refund } from "./payment.ts";

const entry = z.union([z.object({ payment, capture: z.boolean() }), z.object({ refund })]);

export interface StoredPayment {
  readonly payment: Payment;
  /** Paying it also captures it. */
  readonly capture: boolean;
}

/** The oldest go first. */
const mostPayments = 50_000;

/** The stand-in's payments and refunds: bounded, and with a folder kept over restarts (a line per change, compacted at opening). */
export class Book {
  readonly #payments = new Map<string, StoredPayment>();
  readonly #refunds = new Map<string, Refund>();
  readonly #file: string | undefined;

  constructor(folder: string | undefined) {
    this.#file = folder === undefined ? undefined : join(folder, "payments.jsonl");
    if (folder === undefined || this.#file === undefined) return;
    mkdirSync(folder, { recursive: true });
    if (existsSync(this.#file)) this.#load(this.#file);
  }

  payment(id: string): StoredPayment | undefined {
    return this.#payments.get(id);
  }

  refund(id: string): Refund | undefined {
    return this.#refunds.get(id);
  }

  refundsOf(paymentId: string): readonly Refund[] {
    return [...this.#refunds.values()].filter(({ payment_id }) => payment_id === paymentId);
  }

  /** Newest first. */
  payments(): readonly Payment[] {
    return [...this.#payments.values()].map((stored) => stored.payment).toReversed();
  }

  putPayments(stored: readonly StoredPayment[]): void {
    for (const one of stored) {
      this.#payments.set(one.payment.id, one);
      if (this.#payments.size > mostPayments) this.#payments.delete(this.#payments.keys().next().value ?? "");
    }
    this.#write(stored);
  }

  putRefund(made: Refund): void {
    this.#refunds.set(made.id, made);
    this.#write([{ refund: made }]);
  }

  clear(): void {
    this.#payments.clear();
    this.#refunds.clear();
    if (this.#file !== undefined) writeFileSync(this.#file, "");
  }

  #write(entries: readonly z.input<typeof entry>[]): void {
    if (this.#file !== undefined) appendFileSync(this.#file, lines(entries));
  }

  #load(file: string): void {
    for (const line of readFileSync(file, "utf8").split("\n")) {
      const { data } = entry.safeParse(parse(line));
      if (data === undefined) continue; // the torn last line of a killed process
      if ("refund" in data) this.#refunds.set(data.refund.id, data.refund);
      else this.#payments.set(data.payment.id, data);
    }
    for (const id of this.#payments.keys()) {
      if (this.#payments.size <= mostPayments) break;
      this.#payments.delete(id);
    }
    const kept = [...this.#payments.values(), ...[...this.#refunds.values()].map((made) => ({ refund: made }))];
    writeFileSync(`${file}.new`, lines(kept));
    renameSync(`${file}.new`, file);
  }
}

function lines(entries: readonly unknown[]): string {
  return entries.map((one) => `${JSON.stringify(one)}\n`).join("");
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
