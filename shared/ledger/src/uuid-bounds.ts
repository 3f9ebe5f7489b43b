const dayMs = 86_400_000;

/** The smallest UUIDv7 of an instant: every id made in that millisecond or later sorts at or after it. */
export function uuidBound(atMs: number): string {
  if (!Number.isSafeInteger(atMs) || atMs < 0 || atMs >= 2 ** 48) {
    throw new RangeError(`${atMs} is no millisecond that a UUIDv7 can hold`);
  }
  const hex = atMs.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}

/** One day of history: its partition, and the ids that belong to it (`from` included, `to` not). */
export interface HistoryDay {
  readonly table: string;
  readonly from: string;
  readonly to: string;
}

/** The day (UTC) that holds an instant, shifted by whole days, of a table that is partitioned by days. */
export function historyDay(parent: string, atMs: number, shiftDays: number): HistoryDay {
  const start = (Math.floor(atMs / dayMs) + shiftDays) * dayMs;
  const stamp = new Date(start).toISOString().slice(0, 10).replaceAll("-", "");
  return { table: `${parent}_${stamp}`, from: uuidBound(start), to: uuidBound(start + dayMs) };
}

/** When the day of a partition ends (UTC milliseconds); `undefined` for a table that is no day of `parent`. */
export function dayEndMs(parent: string, table: string): number | undefined {
  if (!table.startsWith(`${parent}_`)) return undefined;
  const [, year, month, day] = /^(\d{4})(\d{2})(\d{2})$/.exec(table.slice(parent.length + 1)) ?? [];
  if (year === undefined || month === undefined || day === undefined) return undefined;
  return Date.UTC(Number(year), Number(month) - 1, Number(day)) + dayMs;
}
