import type { Rate } from "@warren/ledger";
import { z } from "zod";

/** `"10/m"`, `"100/10s"`, `"5/250ms"`, or in parts. Units: `ms`, `s`, `m`, `h`, `d`. */
export type RateOption =
  | string
  | {
      readonly limit: number;
      readonly perMs: number;
      /** What may start at once after a pause. Default `limit`. */
      readonly burst?: number;
    };

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const longestSpanMs = 366 * 86_400_000;
const mostStarts = 1_000_000_000;
const form = /^\s*(\d{1,10})\s*\/\s*(\d{1,10})?\s*(ms|s|m|h|d)\s*$/;
const expected = 'expected a rate such as "10/m", "100/10s" or { limit: 10, perMs: 60000, burst: 10 }';

const count = z.number().int().min(1).max(mostStarts);
const parts = z.strictObject({
  limit: count,
  perMs: z.number().positive().max(longestSpanMs),
  burst: count.optional(),
});

function parseText(text: string): Rate | undefined {
  const match = form.exec(text);
  const limit = Number(match?.[1]);
  const perMs = Number(match?.[2] ?? 1) * (unitsMs[match?.[3] ?? ""] ?? Number.NaN);
  const isSound = limit >= 1 && limit <= mostStarts && perMs > 0 && perMs <= longestSpanMs;
  return isSound ? { limit, perMs, burst: limit } : undefined;
}

/** A rate as people write it. Without a burst, as many as `limit` may start at once. */
export const rate = z
  .custom<RateOption>(() => true)
  .transform((written, context): Rate => {
    if (typeof written === "string") {
      const parsed = parseText(written);
      if (parsed !== undefined) return parsed;
      context.addIssue({ code: "custom", message: `${expected}, got ${JSON.stringify(written.slice(0, 50))}` });
      return z.NEVER;
    }
    const parsed = parts.safeParse(written);
    if (parsed.success) return { ...parsed.data, burst: parsed.data.burst ?? parsed.data.limit };
    const [issue] = parsed.error.issues;
    context.addIssue({
      code: "custom",
      message: `${expected}; ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`,
    });
    return z.NEVER;
  });
