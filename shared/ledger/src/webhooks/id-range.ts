import { uuidBound } from "../uuid-bounds.ts";

const dayMs = 86_400_000;

/** Ids between which requests are looked for: `from` included, `before` not. In lower case, so that they compare as text. */
export interface IdRange {
  readonly from: string;
  readonly before: string;
}

export const smallestId = "00000000-0000-0000-0000-000000000000";
export const largestId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/** What is left of a range after an id that was looked at last. `undefined`: nothing. */
export function restOf(whole: IdRange | undefined, cursor: string | undefined, older: boolean): IdRange | undefined {
  if (whole === undefined) return undefined;
  const { from, before } = whole;
  if (cursor === undefined) return whole;
  const range = older
    ? { from, before: cursor < before ? cursor : before }
    : { from: cursor >= from ? idAfter(cursor) : from, before };
  return range.from < range.before ? range : undefined;
}

/** The next greater id. */
export function idAfter(id: string): string {
  const digits = (BigInt(`0x${id.replaceAll("-", "")}`) + 1n).toString(16).padStart(32, "0");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

const msOf = (id: string): number => Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16);
const boundOf = (ms: number): string => uuidBound(Math.min(ms, 2 ** 48 - 1));

/** The day (UTC) of the range's first end in the direction. */
export function dayOf(range: IdRange, older: boolean): IdRange {
  if (older) {
    const start = boundOf(Math.floor(msOf(idBefore(range.before)) / dayMs) * dayMs);
    return { from: start > range.from ? start : range.from, before: range.before };
  }
  const end = boundOf((Math.floor(msOf(range.from) / dayMs) + 1) * dayMs);
  return { from: range.from, before: end < range.before ? end : range.before };
}

/** The next smaller id. */
export function idBefore(id: string): string {
  const digits = (BigInt(`0x${id.replaceAll("-", "")}`) - 1n).toString(16).padStart(32, "0");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
