import { z } from "zod";

const common = {
  /** Only requests with this method. */
  method: z.enum(["GET", "POST"]).optional(),
  /** Heals after so many requests. */
  times: z.number().int().positive().optional(),
};

/** What the stand-in does wrong, until told otherwise. */
export const yookassaFault = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none") }),
  /** Answers with this status. A 500 leaves open whether it happened: with `happens` the request is carried out all the same. */
  z.strictObject({
    kind: z.literal("error"),
    status: z.number().int().min(400).max(599),
    happens: z.boolean().optional(),
    ...common,
  }),
  z.strictObject({ kind: z.literal("slow"), delayMs: z.number().int().min(0).max(600_000), ...common }),
  /** 429, with `Retry-After` where given. */
  z.strictObject({ kind: z.literal("rate-limit"), retryAfterSeconds: z.number().int().min(0).optional(), ...common }),
  /** Carries the request out and cuts the connection instead of answering. */
  z.strictObject({ kind: z.literal("drop"), ...common }),
]);

export type YookassaFault = z.infer<typeof yookassaFault>;

export class YookassaFaultSwitch {
  #fault: YookassaFault = { kind: "none" };
  #left = Number.POSITIVE_INFINITY;

  get current(): YookassaFault {
    return this.#fault;
  }

  set(fault: YookassaFault): void {
    this.#fault = fault;
    this.#left = fault.kind === "none" ? Number.POSITIVE_INFINITY : (fault.times ?? Number.POSITIVE_INFINITY);
  }

  /** The fault for one request; counts it. */
  strike(method: string): YookassaFault {
    const fault = this.#fault;
    if (fault.kind === "none" || (fault.method !== undefined && fault.method !== method)) return { kind: "none" };
    this.#left -= 1;
    if (this.#left <= 0) this.#fault = { kind: "none" };
    return fault;
  }
}
