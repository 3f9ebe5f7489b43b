import { type Cron, parseCron } from "./cron.ts";
import { ScheduleError } from "./errors.ts";

/** A rhythm as it is understood. */
export type When =
  | { readonly kind: "cron"; readonly cron: Cron }
  /** On the grid of multiples of `everyMs` since 1970-01-01T00:00Z, moved by `offsetMs`. */
  | { readonly kind: "every"; readonly everyMs: number; readonly offsetMs: number };

/** A rhythm as it is written: text (see `parseWhen`), a cron, or an interval in milliseconds. */
export type WhenOption =
  | string
  | { readonly cron: string }
  | { readonly everyMs: number; readonly offsetMs?: number | undefined };

const shortestMs = 1_000;
const longestMs = 366 * 86_400_000;

const words: Readonly<Record<string, string>> = {
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
};

const units: Readonly<Record<string, number>> = {
  ms: 1,
  millisecond: 1,
  s: 1_000,
  sec: 1_000,
  second: 1_000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
};

/**
 * The text that means the same, for `parseWhen` and for people.
 * @throws ScheduleError as `parseWhen`.
 */
export function whenText(option: WhenOption): string {
  if (typeof option === "string") return tidy(option);
  if ("cron" in option) return tidy(option.cron);
  const { everyMs, offsetMs = 0 } = option;
  if (!Number.isSafeInteger(everyMs) || !Number.isSafeInteger(offsetMs)) {
    throw invalid(JSON.stringify(option), `expected whole milliseconds, got ${everyMs} and ${offsetMs}`);
  }
  const text = `every ${duration(everyMs)}`;
  return offsetMs === 0 ? text : `${text} offset ${duration(offsetMs)}`;
}

/**
 * Reads a rhythm:
 * - a cron of 5 or 6 fields (see `parseCron`)
 * - `@hourly`, `@daily` (`@midnight`), `@weekly` (Sunday), `@monthly`, `@yearly` (`@annually`), at midnight of the zone
 * - `at 03:00`, `at 03:00:30`: every day
 * - `every 10 minutes`, `10 minutes`, `every 1h30m`, `every minute`, with `offset 2 minutes`: on the grid of UTC
 * @throws ScheduleError `SCHEDULE_WHEN_INVALID`, `SCHEDULE_TOO_FREQUENT`, `SCHEDULE_NEVER_FIRES`.
 */
export function parseWhen(given: string): When {
  const text = tidy(given);
  if (text.startsWith("@")) {
    const cron = words[text.toLowerCase()];
    if (cron === undefined) throw invalid(text, `expected one of ${Object.keys(words).join(", ")}`);
    return { kind: "cron", cron: parseCron(cron) };
  }
  if (/^at\b/i.test(text)) return timeOfDay(text);
  if (/^every\b/i.test(text) || startsWithDuration.test(text)) return interval(text);
  return { kind: "cron", cron: parseCron(text) };
}

const tidy = (text: string): string => text.trim().replaceAll(/\s+/g, " ");
/** A number with a unit; the fields of a cron have none. */
const startsWithDuration = /^-?\d+(\.\d+)? ?[a-z]/i;

function timeOfDay(text: string): When {
  const [, hour, minute, second = "0"] = /^at (\d\d?):(\d\d)(?::(\d\d))?$/i.exec(text) ?? [];
  if (hour === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) {
    throw invalid(text, 'expected a time of day such as "at 03:00" or "at 23:59:30"');
  }
  return { kind: "cron", cron: parseCron(`${Number(second)} ${Number(minute)} ${Number(hour)} * * *`) };
}

function interval(text: string): When {
  const [, span = "", offset] = /^(?:every )?(.*?)(?: offset (.*))?$/i.exec(text) ?? [];
  const everyMs = durationMs(text, span);
  const offsetMs = offset === undefined ? 0 : durationMs(text, offset);
  if (everyMs < shortestMs) {
    throw new ScheduleError("SCHEDULE_TOO_FREQUENT", `"${text}": ${everyMs} ms is less than ${shortestMs} ms`, {
      when: text,
    });
  }
  if (everyMs > longestMs) throw invalid(text, "expected at most 366 days; use a cron for more");
  if (offsetMs >= everyMs) throw invalid(text, "expected an offset shorter than the interval");
  return { kind: "every", everyMs, offsetMs };
}

/** `10 minutes`, `1h30m`, `1 hour 30 minutes`, `minute`. */
function durationMs(text: string, span: string): number {
  const parts = [...span.matchAll(/(\d*)\s*([a-z]+)\s*/gi)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== span) {
    throw invalid(text, `"${span}" is no duration: expected such as "10 minutes" or "1h30m"`);
  }
  return parts.reduce((sum, [, number = "", unit = ""]) => {
    const unitMs = unitOf(unit.toLowerCase());
    if (unitMs === undefined) throw invalid(text, `"${unit}" is no unit: expected ms, seconds, minutes, hours or days`);
    return sum + (number === "" ? 1 : Number(number)) * unitMs;
  }, 0);
}

function unitOf(word: string): number | undefined {
  return units[word] ?? (word.length > 2 && word.endsWith("s") ? units[word.slice(0, -1)] : undefined);
}

/** In the largest unit that divides it. */
function duration(ms: number): string {
  for (const [unit, size] of [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1_000],
  ] as const) {
    if (ms !== 0 && ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

function invalid(text: string, why: string): ScheduleError {
  return new ScheduleError("SCHEDULE_WHEN_INVALID", `"${text}": ${why}`, { when: text });
}
