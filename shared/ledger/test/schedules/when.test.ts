import { expect, test } from "vitest";
import { nextOccurrence } from "../../src/schedules/plan.ts";
import { previewFirings } from "../../src/schedules/preview.ts";
import { parseWhen, type WhenOption, whenText } from "../../src/schedules/when.ts";
import { zoneOf } from "../../src/schedules/zone.ts";

const after = new Date("2024-05-15T10:20:30Z");
const first = (when: WhenOption): string | undefined =>
  previewFirings({ when, timeZone: "UTC", after, count: 1 })[0]?.toISOString().slice(0, 19);

test.for<{ when: WhenOption; fires: string }>([
  { when: "@hourly", fires: "2024-05-15T11:00:00" },
  { when: "@daily", fires: "2024-05-16T00:00:00" },
  { when: "@midnight", fires: "2024-05-16T00:00:00" },
  { when: "@Weekly", fires: "2024-05-19T00:00:00" },
  { when: "@monthly", fires: "2024-06-01T00:00:00" },
  { when: "@yearly", fires: "2025-01-01T00:00:00" },
  { when: "@annually", fires: "2025-01-01T00:00:00" },
  { when: "at 03:00", fires: "2024-05-16T03:00:00" },
  { when: "at 23:59:30", fires: "2024-05-15T23:59:30" },
  { when: "10 minutes", fires: "2024-05-15T10:30:00" },
  { when: "every 10 minutes", fires: "2024-05-15T10:30:00" },
  { when: "  every   10 minutes ", fires: "2024-05-15T10:30:00" },
  { when: "every minute", fires: "2024-05-15T10:21:00" },
  { when: "every 1h30m", fires: "2024-05-15T10:30:00" },
  { when: "1 hour 30 minutes offset 5 minutes", fires: "2024-05-15T10:35:00" },
  { when: "every day offset 6 hours", fires: "2024-05-16T06:00:00" },
  { when: "every 45s", fires: "2024-05-15T10:21:00" },
  { when: { everyMs: 600_000 }, fires: "2024-05-15T10:30:00" },
  { when: { everyMs: 600_000, offsetMs: 1_000 }, fires: "2024-05-15T10:30:01" },
  { when: { everyMs: 1_500 }, fires: "2024-05-15T10:20:31" },
  { when: { cron: "*/15 * * * *" }, fires: "2024-05-15T10:30:00" },
  { when: "*/10 * * * * *", fires: "2024-05-15T10:20:40" },
  { when: "0 9 * JAN-MAR MON", fires: "2025-01-06T09:00:00" },
  { when: "5/20 12 * * *", fires: "2024-05-15T12:05:00" },
  { when: "0 12 ? * 7", fires: "2024-05-19T12:00:00" },
  { when: "0 12 L feb *", fires: "2025-02-28T12:00:00" },
])("$when fires next at $fires", ({ when, fires }) => {
  expect(first(when)?.slice(0, fires.length)).toBe(fires);
  // what is stored means the same
  expect(parseWhen(whenText(whenText(when)))).toEqual(parseWhen(whenText(when)));
});

test.for<{ what: string; when: WhenOption; code: string; says: string }>([
  { what: "nothing", when: "", code: "SCHEDULE_WHEN_INVALID", says: "got 1" },
  { what: "four fields", when: "* * * *", code: "SCHEDULE_WHEN_INVALID", says: "expected 5 fields" },
  { what: "seven fields", when: "0 0 0 1 1 * 2030", code: "SCHEDULE_WHEN_INVALID", says: "got 7" },
  {
    what: "an hour that is not there",
    when: "0 24 * * *",
    code: "SCHEDULE_WHEN_INVALID",
    says: 'hour: "24": expected 0 to 23',
  },
  { what: "a minute that is not there", when: "60 * * * *", code: "SCHEDULE_WHEN_INVALID", says: "minute" },
  { what: "a month that is not there", when: "0 0 1 FOO *", code: "SCHEDULE_WHEN_INVALID", says: "JAN to DEC" },
  { what: "a range backwards", when: "0 22-2 * * *", code: "SCHEDULE_WHEN_INVALID", says: "runs backwards" },
  { what: "a step of nothing", when: "*/0 * * * *", code: "SCHEDULE_WHEN_INVALID", says: "step" },
  { what: "an empty item", when: "1,,2 * * * *", code: "SCHEDULE_WHEN_INVALID", says: "empty" },
  { what: "a nearest weekday", when: "0 0 15W * *", code: "SCHEDULE_WHEN_INVALID", says: "day of month" },
  { what: "a hash", when: "H * * * *", code: "SCHEDULE_WHEN_INVALID", says: "minute" },
  { what: "a sixth Monday", when: "0 0 * * MON#6", code: "SCHEDULE_WHEN_INVALID", says: "1 to 5" },
  { what: "a negative minute", when: "-5 * * * *", code: "SCHEDULE_WHEN_INVALID", says: "minute" },
  { what: "an unknown word", when: "@fortnightly", code: "SCHEDULE_WHEN_INVALID", says: "@weekly" },
  { what: "a time of day that is not there", when: "at 25:00", code: "SCHEDULE_WHEN_INVALID", says: "time of day" },
  { what: "an unknown unit", when: "every 3 fortnights", code: "SCHEDULE_WHEN_INVALID", says: "is no unit" },
  { what: "a negative interval", when: "every -5 minutes", code: "SCHEDULE_WHEN_INVALID", says: "no duration" },
  {
    what: "an interval that is not a number",
    when: { everyMs: Number.NaN },
    code: "SCHEDULE_WHEN_INVALID",
    says: "NaN",
  },
  {
    what: "a negative interval in milliseconds",
    when: { everyMs: -60_000 },
    code: "SCHEDULE_WHEN_INVALID",
    says: "no duration",
  },
  {
    what: "an infinite interval",
    when: { everyMs: Number.POSITIVE_INFINITY },
    code: "SCHEDULE_WHEN_INVALID",
    says: "Infinity",
  },
  {
    what: "a negative offset",
    when: { everyMs: 60_000, offsetMs: -1 },
    code: "SCHEDULE_WHEN_INVALID",
    says: "no duration",
  },
  {
    what: "an offset past the interval",
    when: "every minute offset 1 hour",
    code: "SCHEDULE_WHEN_INVALID",
    says: "shorter",
  },
  { what: "an interval of two years", when: "every 800 days", code: "SCHEDULE_WHEN_INVALID", says: "366 days" },
  { what: "no interval", when: "every 0 seconds", code: "SCHEDULE_TOO_FREQUENT", says: "less than 1000 ms" },
  { what: "too many a second", when: "every 100 ms", code: "SCHEDULE_TOO_FREQUENT", says: "less than 1000 ms" },
  { what: "30 February", when: "0 0 30 2 *", code: "SCHEDULE_NEVER_FIRES", says: "no date fits" },
  { what: "31 April and June", when: "0 0 31 4,6 *", code: "SCHEDULE_NEVER_FIRES", says: "no date fits" },
])("$what is refused with a reason: $when", ({ when, code, says }) => {
  expect(() => parseWhen(whenText(when))).toThrow(
    expect.objectContaining({ code, message: expect.stringContaining(says) }),
  );
});

test.for([
  { zone: "Europe/Berln", says: 'did you mean "Europe/Berlin"?' },
  { zone: "America/New York", says: 'did you mean "America/New_York"?' },
  { zone: "Berln", says: 'did you mean "Europe/Berlin"?' },
  { zone: "Berlin", says: 'did you mean "Europe/Berlin"?' },
  { zone: "Mars/Olympus", says: "expected an IANA name" },
  { zone: "", says: "expected an IANA name" },
])('an unknown zone is refused, with the near one: "$zone"', ({ zone, says }) => {
  expect(() => zoneOf(zone)).toThrow(
    expect.objectContaining({ code: "SCHEDULE_ZONE_UNKNOWN", message: expect.stringContaining(says) }),
  );
});

test("start and end are part of the range", () => {
  const rhythm = { when: parseWhen("every hour"), zone: zoneOf("UTC") };
  const range = { rhythm, start: Date.parse("2024-05-15T12:00Z"), end: Date.parse("2024-05-15T13:00Z") };
  const found: number[] = [];
  let at = nextOccurrence(range, 0);
  while (at !== undefined) {
    found.push(at);
    at = nextOccurrence(range, at);
  }
  expect(found).toEqual([range.start, range.end]);
});
