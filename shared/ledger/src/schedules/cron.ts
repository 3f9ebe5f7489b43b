import { ScheduleError } from "./errors.ts";

/** A cron expression, read. Fields are sorted and without doubles. */
export interface Cron {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly months: ReadonlySet<number>;
  readonly monthDays: DayField;
  readonly weekdays: DayField;
  /** It fires in every hour: it follows the clock through changes of daylight saving time. Otherwise it names times of day. */
  readonly everyHour: boolean;
}

/** Days of a month (1 to 31) or of a week (0, Sunday, to 6). */
interface DayField {
  /** Begins with `*` or `?`. When neither of the two is open, a day that fits either of them fits. */
  readonly open: boolean;
  readonly days: ReadonlySet<number>;
  /** `L`: the last day of the month. */
  readonly lastDay: boolean;
  /** `MON#2`: the second Monday; `5L`: the last Friday. Occurrence 1 to 5, or `"last"`. */
  readonly nth: readonly { readonly weekday: number; readonly occurrence: number | "last" }[];
}

interface FieldRule {
  readonly label: string;
  readonly min: number;
  readonly max: number;
  /** Names of the values from `firstNamed` on. */
  readonly names?: readonly string[];
  readonly firstNamed?: number;
}

const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const weekdays = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const rules = {
  second: { label: "second", min: 0, max: 59 },
  minute: { label: "minute", min: 0, max: 59 },
  hour: { label: "hour", min: 0, max: 23 },
  monthDay: { label: "day of month", min: 1, max: 31 },
  month: { label: "month", min: 1, max: 12, names: months, firstNamed: 1 },
  // 7 is Sunday too, as in every cron
  weekday: { label: "day of week", min: 0, max: 7, names: weekdays, firstNamed: 0 },
} as const satisfies Record<string, FieldRule>;

/**
 * Reads a cron expression of 5 fields (minute, hour, day of month, month, day of week) or 6 (second first). A field is `*`, `?` (days
 * only), a number, a name, a range `1-5`, a step `0-30/10` or `5/10`, or a list of those; in day of month also `L`, in day of week
 * also `MON#2` and `FRIL`. Not supported: `W`, `H`, years, ranges that run backwards.
 * @throws ScheduleError `SCHEDULE_WHEN_INVALID` with the field, `SCHEDULE_NEVER_FIRES` when no date fits.
 */
export function parseCron(text: string): Cron {
  const fields = text.trim().split(/\s+/);
  if (fields.length !== 5 && fields.length !== 6) {
    throw invalid(text, `expected 5 fields (minute hour day month weekday) or 6 (second first), got ${fields.length}`);
  }
  const [second = "", minute = "", hour = "", monthDay = "", month = "", weekday = ""] =
    fields.length === 6 ? fields : ["0", ...fields];
  const hours = numbers(text, rules.hour, hour);
  const cron: Cron = {
    seconds: numbers(text, rules.second, second),
    minutes: numbers(text, rules.minute, minute),
    hours,
    months: new Set(numbers(text, rules.month, month)),
    monthDays: monthDayField(text, monthDay),
    weekdays: weekdayField(text, weekday),
    everyHour: hours.length === 24,
  };
  if (nextDay(cron, 0) === undefined) {
    throw new ScheduleError(
      "SCHEDULE_NEVER_FIRES",
      `"${text}": no date fits day of month "${monthDay}" in month "${month}"`,
      {
        when: text,
      },
    );
  }
  return cron;
}

/** Whether the cron fires on this date. `day` counts from 1 January 1970. Pure. */
function dayFits(cron: Cron, day: number): boolean {
  const date = new Date(day * dayMs);
  if (!cron.months.has(date.getUTCMonth() + 1)) return false;
  const { monthDays, weekdays: weekDays } = cron;
  const [byMonthDay, byWeekday] = [fitsMonthDay(monthDays, date), fitsWeekday(weekDays, date)];
  return monthDays.open || weekDays.open ? byMonthDay && byWeekday : byMonthDay || byWeekday;
}

/** The first date from `day` on that fits, within fifty years: any date that exists comes up within forty (29 February on a Monday). */
export function nextDay(cron: Cron, day: number): number | undefined {
  const lastDay = day + searchDays;
  let candidate = day;
  while (candidate <= lastDay) {
    const date = new Date(candidate * dayMs);
    if (!cron.months.has(date.getUTCMonth() + 1)) {
      candidate = Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) / dayMs;
    } else if (dayFits(cron, candidate)) {
      return candidate;
    } else {
      candidate += 1;
    }
  }
  return undefined;
}

/** The first time of day, in milliseconds since midnight, that fits and is not before `from`. Pure. */
export function nextTimeOfDay(cron: Cron, from: number): number | undefined {
  const second = Math.max(0, Math.ceil(from / 1_000));
  const fromHour = Math.floor(second / 3_600);
  for (const hour of cron.hours) {
    if (hour < fromHour) continue;
    const fromMinute = hour > fromHour ? 0 : Math.floor((second % 3_600) / 60);
    for (const minute of cron.minutes) {
      if (minute < fromMinute) continue;
      const fromSecond = hour > fromHour || minute > fromMinute ? 0 : second % 60;
      const fitting = cron.seconds.find((one) => one >= fromSecond);
      if (fitting !== undefined) return ((hour * 60 + minute) * 60 + fitting) * 1_000;
    }
  }
  return undefined;
}

export const dayMs = 86_400_000;
const searchDays = 50 * 366;

function fitsMonthDay({ days, lastDay }: DayField, date: Date): boolean {
  const day = date.getUTCDate();
  return days.has(day) || (lastDay && day === daysInMonth(date));
}

function fitsWeekday({ days, nth }: DayField, date: Date): boolean {
  const weekday = date.getUTCDay();
  if (days.has(weekday)) return true;
  const day = date.getUTCDate();
  return nth.some(
    (one) =>
      one.weekday === weekday &&
      (one.occurrence === "last" ? day + 7 > daysInMonth(date) : Math.ceil(day / 7) === one.occurrence),
  );
}

function daysInMonth(date: Date): number {
  return new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
}

function monthDayField(text: string, field: string): DayField {
  const { open, rest } = openness(field);
  const items = rest.split(",");
  const plain = items.filter((item) => item.toUpperCase() !== "L");
  return {
    open,
    days: new Set(plain.length === 0 ? [] : numbers(text, rules.monthDay, plain.join(","))),
    lastDay: plain.length < items.length,
    nth: [],
  };
}

function weekdayField(text: string, field: string): DayField {
  const { open, rest } = openness(field);
  const plain: string[] = [];
  const nth: { weekday: number; occurrence: number | "last" }[] = [];
  for (const item of rest.split(",")) {
    const [, day, , occurrence] = /^(\w+?)(L|#(\w*))$/i.exec(item) ?? [];
    if (day === undefined) {
      plain.push(item);
      continue;
    }
    const weekday = single(text, rules.weekday, day) % 7;
    if (occurrence === undefined) nth.push({ weekday, occurrence: "last" });
    else if (/^[1-5]$/.test(occurrence)) nth.push({ weekday, occurrence: Number(occurrence) });
    else throw invalid(text, `day of week: "${item}": expected # and 1 to 5`);
  }
  const days = plain.length === 0 ? [] : numbers(text, rules.weekday, plain.join(","));
  return { open, days: new Set(days.map((day) => day % 7)), lastDay: false, nth };
}

function openness(field: string): { readonly open: boolean; readonly rest: string } {
  if (field === "?") return { open: true, rest: "*" };
  return { open: field.startsWith("*"), rest: field };
}

function numbers(text: string, rule: FieldRule, field: string): readonly number[] {
  const values = new Set(field.split(",").flatMap((item) => range(text, rule, item)));
  return [...values].sort((a, b) => a - b);
}

function range(text: string, rule: FieldRule, item: string): readonly number[] {
  const [, span, stepText] = /^([^/]+)(?:\/(.*))?$/.exec(item) ?? [];
  if (span === undefined) throw invalid(text, `${rule.label}: "${item}" is empty`);
  if (stepText !== undefined && !/^[1-9]\d{0,3}$/.test(stepText)) {
    throw invalid(text, `${rule.label}: "${item}": expected a step of 1 or more after the slash`);
  }
  const step = Number(stepText ?? 1);
  const [from, to] = bounds(text, rule, span, stepText !== undefined);
  if (to < from) throw invalid(text, `${rule.label}: "${item}" runs backwards; write two ranges`);
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step);
}

/** `5/10` runs on to the end of the field. */
function bounds(text: string, rule: FieldRule, span: string, stepped: boolean): readonly [number, number] {
  const last = rule.max === 7 ? 6 : rule.max;
  if (span === "*") return [rule.min, last];
  const [from = "", to] = span.split(/-(.*)/);
  const start = single(text, rule, from);
  if (to !== undefined) return [start, single(text, rule, to)];
  return [start, stepped ? last : start];
}

function single(text: string, rule: FieldRule, word: string): number {
  const named = rule.names?.indexOf(word.toUpperCase()) ?? -1;
  if (named >= 0) return named + (rule.firstNamed ?? 0);
  const value = /^\d{1,2}$/.test(word) ? Number(word) : Number.NaN;
  if (value >= rule.min && value <= rule.max) return value;
  const names = rule.names === undefined ? "" : ` or ${rule.names[0]} to ${rule.names.at(-1)}`;
  throw invalid(text, `${rule.label}: "${word}": expected ${rule.min} to ${rule.max}${names}`);
}

function invalid(text: string, why: string): ScheduleError {
  return new ScheduleError("SCHEDULE_WHEN_INVALID", `"${text}": ${why}`, { when: text });
}
