/**
 * A slow and simple model of when a cron fires: it walks over every minute, asks Intl what the clock shows, and matches the text of the
 * expression piece by piece. It shares no code with what it judges.
 */
export interface WalkOptions {
  readonly cron: string;
  readonly zone: string;
  readonly from: number;
  readonly minutes: number;
}

const minuteMs = 60_000;

/** All instants from `from` (a whole minute) on, `minutes` long, at which the five-field cron fires. */
export function walk({ cron, zone, from, minutes }: WalkOptions): readonly number[] {
  const fields = cron.split(" ");
  const show = clockOf(zone);
  const followsClock = Array.from({ length: 24 }, (_, hour) => hour).every((hour) => fits(fields[1] ?? "", hour, 0));
  const fired: number[] = [];
  const shown = new Set<number>();
  // a day before, to know what the clock has shown already
  for (let instant = from - 1_440 * minuteMs; instant < from + minutes * minuteMs; instant += minuteMs) {
    const now = show(instant);
    const isAgain = shown.has(now);
    shown.add(now);
    const skipped = leftOut(show(instant - minuteMs), now);
    const isDue = followsClock
      ? matches(fields, now)
      : (!isAgain && matches(fields, now)) || skipped.some((missing) => matches(fields, missing));
    if (isDue && instant >= from) fired.push(instant);
  }
  return fired;
}

const clocks = new Map<string, (instant: number) => number>();

/** Local time as a number of minutes, as if it were UTC; remembered, since Intl is slow and the same minutes are walked again. */
function clockOf(zone: string): (instant: number) => number {
  const known = clocks.get(zone);
  if (known !== undefined) return known;
  const seen = new Map<number, number>();
  const read = clock(zone);
  const remember = (instant: number): number => {
    const local = seen.get(instant) ?? read(instant);
    seen.set(instant, local);
    return local;
  };
  clocks.set(zone, remember);
  return remember;
}

function clock(zone: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
  });
  return (instant) => {
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = (format.format(instant).match(/\d+/g) ?? []).map(
      Number,
    );
    return Date.UTC(year, month - 1, day, hour, minute) / minuteMs;
  };
}

function leftOut(before: number, now: number): readonly number[] {
  return now > before + 1 ? Array.from({ length: now - before - 1 }, (_, index) => before + 1 + index) : [];
}

function matches(fields: readonly string[], local: number): boolean {
  const [minute = "", hour = "", monthDay = "", month = "", weekday = ""] = fields;
  const date = new Date(local * minuteMs);
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  const onDay = monthDay
    .split(",")
    .some((item) => (item === "L" ? date.getUTCDate() === lastDay : fits(item, date.getUTCDate(), 1)));
  const onWeekday = weekday.split(",").some((item) => weekdayFits(item, date, lastDay));
  const isOpen = /^[*?]/.test(monthDay) || /^[*?]/.test(weekday);
  return (
    fits(minute, date.getUTCMinutes(), 0) &&
    fits(hour, date.getUTCHours(), 0) &&
    fits(month, date.getUTCMonth() + 1, 1) &&
    (isOpen ? onDay && onWeekday : onDay || onWeekday)
  );
}

function weekdayFits(item: string, date: Date, lastDay: number): boolean {
  const [, day = "", which = ""] = /^(\d)(?:#(\d)|L)$/.exec(item) ?? [];
  if (day === "") return fits(item, date.getUTCDay(), 0) || (date.getUTCDay() === 0 && fits(item, 7, 0));
  if (Number(day) % 7 !== date.getUTCDay()) return false;
  const ordinal = Math.floor((date.getUTCDate() - 1) / 7) + 1;
  return which === "" ? date.getUTCDate() > lastDay - 7 : ordinal === Number(which);
}

/** One field of numbers, ranges, steps and lists. */
function fits(field: string, value: number, first: number): boolean {
  return field.split(",").some((item) => {
    const [span = "", step = "1"] = item.split("/");
    if (span === "*" || span === "?") return (value - first) % Number(step) === 0;
    const [from = "", to = item.includes("/") ? "99" : from] = span.split("-");
    return value >= Number(from) && value <= Number(to) && (value - Number(from)) % Number(step) === 0;
  });
}
