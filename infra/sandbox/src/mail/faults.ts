import { z } from "zod";

const times = z.number().int().positive().optional();

/** What the mail sink does wrong, until told otherwise. With `times` it heals by itself after that many mails. */
export const mailFault = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none") }),
  /** Connections are refused; open ones are cut. */
  z.strictObject({ kind: z.literal("down") }),
  /** The answer to DATA comes late. */
  z.strictObject({ kind: z.literal("slow"), delayMs: z.number().int().min(0).max(600_000), times }),
  /** An SMTP error, to RCPT or (default) to DATA. */
  z.strictObject({
    kind: z.literal("reject"),
    code: z.number().int().min(400).max(599),
    message: z.string().max(200).optional(),
    stage: z.enum(["rcpt", "data"]).optional(),
    times,
  }),
  /** The connection is cut after DATA instead of an answer; the mail is kept (default) or lost. Nobody can tell from outside. */
  z.strictObject({ kind: z.literal("drop"), keep: z.boolean().optional(), times }),
]);

export type MailFault = z.infer<typeof mailFault>;

/** The fault that is on, and how often it still strikes. */
export class FaultSwitch {
  #fault: MailFault = { kind: "none" };
  #left = Number.POSITIVE_INFINITY;

  get current(): MailFault {
    return this.#fault;
  }

  set(fault: MailFault): void {
    this.#fault = fault;
    this.#left = "times" in fault && fault.times !== undefined ? fault.times : Number.POSITIVE_INFINITY;
  }

  /** The fault for one mail at this stage; counts it. */
  strike(stage: "rcpt" | "data"): MailFault {
    const fault = this.#fault;
    if (fault.kind === "none" || fault.kind === "down") return fault;
    const own = fault.kind === "reject" ? (fault.stage ?? "data") : "data";
    if (own !== stage) return { kind: "none" };
    this.#left -= 1;
    if (this.#left <= 0) this.#fault = { kind: "none" };
    return fault;
  }
}
