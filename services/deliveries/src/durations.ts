const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const form = /^(\d{1,9})(ms|s|m|h|d)$/;

/** Reads `5s,5m,2h` as milliseconds; `undefined` where a part is no duration. Pure. */
export function parseDurations(text: string): readonly number[] | undefined {
  const parts = text.split(",").map((part) => form.exec(part.trim()));
  const durations = parts.map((part) => Number(part?.[1]) * (unitsMs[part?.[2] ?? ""] ?? Number.NaN));
  return durations.some(Number.isNaN) ? undefined : durations;
}
