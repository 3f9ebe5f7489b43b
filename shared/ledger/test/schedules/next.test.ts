import { propertyRuns, propertyTimeout } from "@warren/testing/properties";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { lastFirings, nextFiring, type Rhythm } from "../../src/schedules/next.ts";
import { parseWhen } from "../../src/schedules/when.ts";
import { zoneOf } from "../../src/schedules/zone.ts";
import { walk } from "./minute-walk.ts";

const rhythm = (when: string, zone = "UTC"): Rhythm => ({ when: parseWhen(when), zone: zoneOf(zone) });

/** The next firings after an instant, as ISO text to the minute. */
function next(when: string, zone: string, after: string, count: number): readonly string[] {
  const found: string[] = [];
  let at: number | undefined = Date.parse(after);
  while (found.length < count) {
    at = nextFiring(rhythm(when, zone), at);
    if (at === undefined) return found;
    found.push(new Date(at).toISOString().slice(0, 16));
  }
  return found;
}

const zones = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kolkata"];

/** Instants of 2024 and 2025 at which one of the zones changes its clock, and two ends of months. */
const changes = [
  "2024-03-31T01:00Z",
  "2024-10-27T01:00Z",
  "2024-03-10T07:00Z",
  "2024-11-03T06:00Z",
  "2024-10-05T15:30Z",
  "2024-04-06T15:00Z",
  "2025-03-09T05:30Z",
  "2025-11-02T04:30Z",
  "2024-02-28T12:00Z",
  "2024-12-31T12:00Z",
].map((text) => Date.parse(text));

const item = (min: number, max: number): fc.Arbitrary<string> =>
  fc.oneof(
    fc.integer({ min, max }).map(String),
    fc.tuple(fc.integer({ min, max }), fc.integer({ min, max })).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
    fc
      .tuple(fc.constantFrom("*", String(min)), fc.integer({ min: 1, max: 9 }))
      .map(([from, step]) => `${from}/${step}`),
  );
const field = (min: number, max: number): fc.Arbitrary<string> =>
  fc.array(item(min, max), { minLength: 1, maxLength: 3 }).map((items) => items.join(","));
const days = fc.oneof(
  { weight: 4, arbitrary: fc.constant("* * *") },
  { weight: 1, arbitrary: field(1, 31).map((day) => `${day} * *`) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("L * *", "15,L * 1", "* * 5L", "? * 0#1", "* * 7", "1 */2 *", "*/2 * 1-5", "1-7 * 1"),
  },
  { weight: 1, arbitrary: field(0, 6).map((weekday) => `* * ${weekday}`) },
);
const minuteField = fc.oneof(field(0, 59), fc.constantFrom("0", "30", "*", "*/15"));
const hourField = fc.oneof(field(0, 23), fc.constantFrom("*", "*", "2", "1-3", "*/2", "0"));
const cron = fc.tuple(minuteField, hourField, days).map((parts) => parts.join(" "));

test("property: the next firings are those that a walk over every minute finds, around changes of the clock and months", {
  timeout: propertyTimeout(120_000),
}, () => {
  fc.assert(
    fc.property(
      cron,
      fc.constantFrom(...zones),
      fc.constantFrom(...changes),
      fc.integer({ min: -1_500, max: 300 }),
      (text, zone, change, shift) => {
        const from = change + shift * 60_000;
        const minutes = 2_000;
        const expected = walk({ cron: text, zone, from, minutes });
        const found: number[] = [];
        let at = nextFiring(rhythm(text, zone), from - 1);
        while (at !== undefined && at < from + minutes * 60_000) {
          found.push(at);
          at = nextFiring(rhythm(text, zone), at);
        }
        expect(found.map((one) => new Date(one).toISOString())).toEqual(
          expected.map((one) => new Date(one).toISOString()),
        );
      },
    ),
    { numRuns: propertyRuns(200) },
  );
});

test.for([
  // gap in Berlin: 02:00 to 03:00 on 31 March 2024 is not there
  {
    what: "a time in the gap fires at the first instant after it",
    when: "30 2 * * *",
    zone: "Europe/Berlin",
    after: "2024-03-30T12:00Z",
    fires: ["2024-03-31T01:00", "2024-04-01T00:30"],
  },
  {
    what: "several times in the gap fire together, once",
    when: "0,30 2 * * *",
    zone: "Europe/Berlin",
    after: "2024-03-30T12:00Z",
    fires: ["2024-03-31T01:00", "2024-04-01T00:00"],
  },
  {
    what: "a time of the gap and one at its end fire together",
    when: "0 2,3 * * *",
    zone: "Europe/Berlin",
    after: "2024-03-30T12:00Z",
    fires: ["2024-03-31T01:00", "2024-04-01T00:00"],
  },
  {
    what: "every two hours names hours: nothing is lost in the gap",
    when: "0 */2 * * *",
    zone: "Europe/Berlin",
    after: "2024-03-30T21:30Z",
    fires: ["2024-03-30T23:00", "2024-03-31T01:00", "2024-03-31T02:00"],
  },
  {
    what: "every hour follows the clock: one an hour, none for the gap",
    when: "30 * * * *",
    zone: "Europe/Berlin",
    after: "2024-03-31T00:00Z",
    fires: ["2024-03-31T00:30", "2024-03-31T01:30", "2024-03-31T02:30"],
  },
  // overlap in Berlin: 02:00 to 03:00 on 27 October 2024 is there twice
  {
    what: "a time in the overlap fires once, at the first",
    when: "30 2 * * *",
    zone: "Europe/Berlin",
    after: "2024-10-26T12:00Z",
    fires: ["2024-10-27T00:30", "2024-10-28T01:30"],
  },
  {
    what: "every hour follows the clock: one an hour, two of the same name",
    when: "30 * * * *",
    zone: "Europe/Berlin",
    after: "2024-10-27T00:00Z",
    fires: ["2024-10-27T00:30", "2024-10-27T01:30", "2024-10-27T02:30"],
  },
  // New York
  {
    what: "a time in the gap of New York",
    when: "at 02:30",
    zone: "America/New_York",
    after: "2024-03-09T12:00Z",
    fires: ["2024-03-10T07:00", "2024-03-11T06:30"],
  },
  {
    what: "a time in the overlap of New York",
    when: "at 01:30",
    zone: "America/New_York",
    after: "2024-11-02T12:00Z",
    fires: ["2024-11-03T05:30", "2024-11-04T06:30"],
  },
  // Lord Howe moves by half an hour
  {
    what: "a time in a gap of half an hour",
    when: "15 2 * * *",
    zone: "Australia/Lord_Howe",
    after: "2024-10-05T00:00Z",
    fires: ["2024-10-05T15:30", "2024-10-06T15:15"],
  },
  {
    what: "a time after a gap of half an hour",
    when: "30 2 * * *",
    zone: "Australia/Lord_Howe",
    after: "2024-10-05T00:00Z",
    fires: ["2024-10-05T15:30", "2024-10-06T15:30"],
  },
  {
    what: "a time in an overlap of half an hour",
    when: "45 1 * * *",
    zone: "Australia/Lord_Howe",
    after: "2024-04-06T00:00Z",
    fires: ["2024-04-06T14:45", "2024-04-07T15:15"],
  },
  {
    what: "every hour, in an overlap of half an hour: as the clock shows it",
    when: "45 * * * *",
    zone: "Australia/Lord_Howe",
    after: "2024-04-06T14:00Z",
    fires: ["2024-04-06T14:45", "2024-04-06T15:15", "2024-04-06T16:15"],
  },
  // changes at midnight
  {
    what: "midnight is in the gap of Santiago",
    when: "@daily",
    zone: "America/Santiago",
    after: "2024-09-07T12:00Z",
    fires: ["2024-09-08T04:00", "2024-09-09T03:00"],
  },
  {
    what: "an overlap over midnight, back into the date before",
    when: "30 23 * * *",
    zone: "America/Santiago",
    after: "2024-04-06T12:00Z",
    fires: ["2024-04-07T02:30", "2024-04-08T03:30"],
  },
  {
    what: "a clock that goes back over midnight shows the end of the day again",
    when: "*/30 * * * *",
    zone: "America/St_Johns",
    after: "2010-11-07T02:00Z",
    fires: ["2010-11-07T02:30", "2010-11-07T03:00", "2010-11-07T03:30", "2010-11-07T04:00"],
  },
  {
    what: "a whole date that is not there fires where the clock goes on",
    when: "at 12:00",
    zone: "Pacific/Apia",
    after: "2011-12-29T12:00Z",
    fires: ["2011-12-29T22:00", "2011-12-30T10:00", "2011-12-30T22:00"],
  },
  // taken over from celery's test_day_after_dst_end and test_day_after_dst_start: the day after is a plain day, with the new offset
  {
    what: "the day after the end of summer time",
    when: "at 09:00",
    zone: "Europe/Paris",
    after: "2017-10-28T12:00Z",
    fires: ["2017-10-29T08:00", "2017-10-30T08:00"],
  },
  {
    what: "the day after the start of summer time",
    when: "at 09:00",
    zone: "Europe/Paris",
    after: "2017-03-25T12:00Z",
    fires: ["2017-03-26T07:00", "2017-03-27T07:00"],
  },
  // an interval does not look at clocks
  {
    what: "an interval is the same through a gap",
    when: "every 45 minutes",
    zone: "UTC",
    after: "2024-03-31T00:00Z",
    fires: ["2024-03-31T00:45", "2024-03-31T01:30"],
  },
  // calendars, after the ideas of MassTransit's CronExpressionTests
  {
    what: "29 February, over a century that has none",
    when: "0 0 29 2 *",
    zone: "UTC",
    after: "2096-03-01T00:00Z",
    fires: ["2104-02-29T00:00"],
  },
  {
    what: "five Mondays in a February",
    when: "0 0 ? 2 MON#5",
    zone: "UTC",
    after: "2024-01-01T00:00Z",
    fires: ["2044-02-29T00:00", "2072-02-29T00:00"],
  },
  {
    what: "the last day of each month",
    when: "0 12 L * *",
    zone: "UTC",
    after: "2024-01-31T13:00Z",
    fires: ["2024-02-29T12:00", "2024-03-31T12:00", "2024-04-30T12:00"],
  },
  {
    what: "the last Friday of a month",
    when: "0 12 * * FRIL",
    zone: "UTC",
    after: "2024-05-01T00:00Z",
    fires: ["2024-05-31T12:00", "2024-06-28T12:00"],
  },
  {
    what: "the 31st leaves short months out",
    when: "0 0 31 * *",
    zone: "UTC",
    after: "2024-03-31T12:00Z",
    fires: ["2024-05-31T00:00", "2024-07-31T00:00"],
  },
  {
    what: "the 13th or a Friday, when both are named",
    when: "0 0 13 * FRI",
    zone: "UTC",
    after: "2024-09-07T00:00Z",
    fires: ["2024-09-13T00:00", "2024-09-20T00:00"],
  },
  {
    what: "the 7th day of every month at 9:25",
    when: "25 9 7 * *",
    zone: "Europe/Berlin",
    after: "2024-02-08T00:00Z",
    fires: ["2024-03-07T08:25", "2024-04-07T07:25"],
  },
  {
    what: "yearly",
    when: "@yearly",
    zone: "Europe/Berlin",
    after: "2024-06-01T00:00Z",
    fires: ["2024-12-31T23:00", "2025-12-31T23:00"],
  },
  {
    what: "weekly is Sunday",
    when: "@weekly",
    zone: "UTC",
    after: "2024-06-01T12:00Z",
    fires: ["2024-06-02T00:00", "2024-06-09T00:00"],
  },
  {
    what: "an interval keeps to its grid and offset",
    when: "every 10 minutes offset 3 minutes",
    zone: "UTC",
    after: "2024-06-01T12:03Z",
    fires: ["2024-06-01T12:13", "2024-06-01T12:23"],
  },
])("$what: $when in $zone", ({ when, zone, after, fires }) => {
  expect(next(when, zone, after, fires.length)).toEqual(fires);
});

test("six fields fire by the second", () => {
  const at = nextFiring(rhythm("*/20 59 23 31 12 *"), Date.parse("2024-12-31T23:59:20Z"));
  expect(at).toBe(Date.parse("2024-12-31T23:59:40Z"));
  expect(nextFiring(rhythm("*/20 59 23 31 12 *"), Date.parse("2024-12-31T23:59:40Z"))).toBe(
    Date.parse("2025-12-31T23:59:00Z"),
  );
});

test("property: the latest firings of a silence are the end of all of them", () => {
  const start = Date.parse("2024-03-30T00:00Z");
  fc.assert(
    fc.property(
      fc.constantFrom("*/7 * * * *", "0 3 * * *", "every 11 minutes", "30 2 31 3 *"),
      fc.integer({ min: 1, max: 4_000 }),
      fc.integer({ min: 1, max: 30 }),
      (when, minutes, most) => {
        const span = { after: start, until: start + minutes * 60_000 };
        const all = lastFirings(rhythm(when, "Europe/Berlin"), { ...span, most: 100_000 });
        const last = lastFirings(rhythm(when, "Europe/Berlin"), { ...span, most });
        expect(all.more).toBe(false);
        expect(last).toEqual({ instants: all.instants.slice(-most), more: all.instants.length > most });
      },
    ),
  );
});

test("a year of silence of a schedule that fires every second costs no more than the ones that count", () => {
  const until = Date.parse("2025-01-01T00:00Z");
  const { instants, more } = lastFirings(rhythm("* * * * * *", "Europe/Berlin"), {
    after: until - 365 * 86_400_000,
    until,
    most: 3,
  });
  expect(more).toBe(true);
  expect(instants.map((one) => until - one)).toEqual([2_000, 1_000, 0]);
});
