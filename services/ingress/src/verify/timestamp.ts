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
  tolerance: number | Tolerance,
  nowMs: number,
): Rejected | undefined {
  if (!isDigits(text)) return rejected("timestamp_malformed");
  return judgeMoment(Number(text) * unitMs, tolerance, nowMs);
}

/**
 * How far a signed time may lie in each direction. Providers that send again with the first attempt's time need a long past; a
 * long future is never needed, whatever the clocks.
 */
interface Tolerance {
  readonly pastMs: number;
  readonly futureMs: number;
}

/** A tolerance of so many seconds into the past, and of five minutes at most into the future. */
export function toleranceOf(pastSeconds: number): Tolerance {
  return { pastMs: pastSeconds * 1000, futureMs: Math.min(pastSeconds * 1000, defaultToleranceMs) };
}

const rfc3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** Judges a time written as RFC 3339, such as `2026-11-22T12:00:00Z`. */
export function judgeInstant(text: string, tolerance: number | Tolerance, nowMs: number): Rejected | undefined {
  const atMs = rfc3339.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? rejected("timestamp_malformed") : judgeMoment(atMs, tolerance, nowMs);
}

function judgeMoment(atMs: number, tolerance: number | Tolerance, nowMs: number): Rejected | undefined {
  const { pastMs, futureMs } = typeof tolerance === "number" ? { pastMs: tolerance, futureMs: tolerance } : tolerance;
  if (nowMs - atMs > pastMs) return rejected("timestamp_too_old");
  if (atMs - nowMs > futureMs) return rejected("timestamp_in_future");
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
