import { type Rejected, rejected } from "./verdict.ts";

/** How far a signed time may lie in the past or in the future. Stripe and Standard Webhooks both say five minutes. */
export const defaultToleranceMs = 300_000;

/**
 * Judges the signed time of a request in both directions: an old one may be a replay, one from the future would stay good for
 * longer than the tolerance. Only plain digits are taken: no sign, no fraction, no blanks.
 */
export function judgeTimestamp(
  text: string,
  unitMs: 1 | 1000,
  toleranceMs: number,
  nowMs: number,
): Rejected | undefined {
  if (!isDigits(text)) return rejected("timestamp_malformed");
  const atMs = Number(text) * unitMs;
  if (nowMs - atMs > toleranceMs) return rejected("timestamp_too_old");
  if (atMs - nowMs > toleranceMs) return rejected("timestamp_in_future");
  return undefined;
}

function isDigits(text: string): boolean {
  if (text.length === 0 || text.length > 15) return false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 48 || code > 57) return false;
  }
  return true;
}
