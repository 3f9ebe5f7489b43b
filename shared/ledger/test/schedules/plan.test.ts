import { expect, test } from "vitest";
import {
  type Misfire,
  mostWaiting,
  type Overlap,
  type Progress,
  planRound,
  type Timing,
} from "../../src/schedules/plan.ts";
import { parseWhen } from "../../src/schedules/when.ts";
import { zoneOf } from "../../src/schedules/zone.ts";

const minute = 60_000;
const noon = Date.parse("2024-05-15T12:00:00Z");
const timing = (more: Partial<Timing> = {}): Timing => ({
  rhythm: { when: parseWhen("every minute"), zone: zoneOf("UTC") },
  start: undefined,
  end: undefined,
  limit: undefined,
  misfire: "once",
  overlap: "allow",
  ...more,
});
const progress = (more: Partial<Progress> = {}): Progress => ({
  nextAt: noon,
  decidedTo: noon - minute,
  waiting: [],
  fired: 0,
  ...more,
});
const minutes = (instants: readonly number[]) => instants.map((instant) => (instant - noon) / minute);

test.for<{ misfire: Misfire; lateMs: number; fires: number[]; missed: number }>([
  { misfire: "skip", lateMs: 0, fires: [0], missed: 0 },
  { misfire: "skip", lateMs: 59_999, fires: [0], missed: 0 },
  { misfire: "skip", lateMs: 10 * minute + 5_000, fires: [10], missed: 10 },
  { misfire: "once", lateMs: 0, fires: [0], missed: 0 },
  { misfire: "once", lateMs: 10 * minute, fires: [10], missed: 10 },
  { misfire: { catchUp: 3 }, lateMs: 10 * minute, fires: [8, 9, 10], missed: 8 },
  { misfire: { catchUp: 30 }, lateMs: 2 * minute, fires: [0, 1, 2], missed: 0 },
])("$lateMs ms late with misfire $misfire: minutes $fires fire", ({ misfire, lateMs, fires, missed }) => {
  const round = planRound(timing({ misfire }), progress(), { now: noon + lateMs, unfinished: 0 });
  expect(minutes(round.start)).toEqual(fires);
  expect(round.missed).toBe(missed);
  expect(round.progress.nextAt).toBeGreaterThan(noon + lateMs);
});

test("skip leaves out an occurrence that comes up more than a minute late", () => {
  const hourly = timing({ misfire: "skip", rhythm: { when: parseWhen("every hour"), zone: zoneOf("UTC") } });
  const round = planRound(hourly, progress(), { now: noon + minute + 1, unfinished: 0 });
  expect(round).toMatchObject({ start: [], missed: 1, progress: { nextAt: noon + 60 * minute } });
});

test.for<{ overlap: Overlap; start: number[]; waiting: number[]; overlapped: number; cancels: boolean }>([
  { overlap: "allow", start: [0, 1], waiting: [], overlapped: 0, cancels: false },
  { overlap: "skip", start: [], waiting: [], overlapped: 2, cancels: false },
  { overlap: "queue", start: [], waiting: [0, 1], overlapped: 0, cancels: false },
  { overlap: "cancel", start: [1], waiting: [], overlapped: 1, cancels: true },
])("two due while a run is not finished: $overlap", ({ overlap, start, waiting, overlapped, cancels }) => {
  const round = planRound(timing({ overlap, misfire: { catchUp: 5 } }), progress(), {
    now: noon + minute,
    unfinished: 1,
  });
  expect(minutes(round.start)).toEqual(start);
  expect(minutes(round.progress.waiting)).toEqual(waiting);
  expect(round).toMatchObject({ overlapped, cancelOthers: cancels });
});

test("a queue gives one after the other, and no more than its places", () => {
  const full = Array.from({ length: mostWaiting }, (_, index) => noon - (mostWaiting - index) * minute);
  const rules = timing({ overlap: "queue" });
  const busy = planRound(rules, progress({ waiting: full, fired: 200 }), { now: noon, unfinished: 1 });
  expect(busy).toMatchObject({ start: [], overlapped: 1, progress: { waiting: full, fired: 200 } });
  const free = planRound(rules, progress({ waiting: full, fired: 200 }), { now: noon, unfinished: 0 });
  expect(free).toMatchObject({
    start: [full[0]],
    overlapped: 0,
    progress: { waiting: [...full.slice(1), noon], fired: 201 },
  });
});

test("the limit counts what waits, and nothing is next after it", () => {
  const rules = timing({ overlap: "queue", limit: 3, misfire: { catchUp: 10 } });
  const round = planRound(rules, progress({ fired: 1 }), { now: noon + 5 * minute, unfinished: 1 });
  expect(round.progress).toMatchObject({ fired: 3, nextAt: undefined });
  expect(round.progress.waiting).toHaveLength(2);
});

test("a clock that goes back decides nothing twice", () => {
  const rules = timing();
  const first = planRound(rules, progress(), { now: noon + 5, unfinished: 0 });
  expect(minutes(first.start)).toEqual([0]);
  const back = planRound(rules, first.progress, { now: noon - 3 * minute, unfinished: 0 });
  expect(back).toMatchObject({ start: [], progress: first.progress });
  const again = planRound(rules, back.progress, { now: noon + 5, unfinished: 0 });
  expect(again.start).toEqual([]);
  expect(minutes(planRound(rules, again.progress, { now: noon + minute, unfinished: 0 }).start)).toEqual([1]);
});

test("nothing fires after the end, however late the dispatcher looks", () => {
  const rules = timing({ end: noon + 2 * minute, misfire: { catchUp: 10 } });
  const round = planRound(rules, progress(), { now: noon + 60 * minute, unfinished: 0 });
  expect(minutes(round.start)).toEqual([0, 1, 2]);
  expect(round.progress.nextAt).toBeUndefined();
});
