import { describe, expect, test } from "vitest";
import { turnValve, type Valve, type ValveFacts, windowOf } from "../src/worker/valve.ts";

const facts: ValveFacts = {
  shut: false,
  prefetch: 20,
  freeSlots: 3,
  oldestWaitMs: 0,
  averageRunMs: 10,
  nowMs: 100_000,
};
const wide: Valve = { kind: "wide" };
const narrow: Valve = { kind: "narrow", sinceMs: 90_000 };

describe("the valve", () => {
  test.for<{ when: string; from: Valve; given: Partial<ValveFacts>; to: Valve }>([
    { when: "there are free slots", from: wide, given: { oldestWaitMs: 9_000 }, to: wide },
    {
      when: "slots are full and nothing has waited long",
      from: wide,
      given: { freeSlots: 0, oldestWaitMs: 900 },
      to: wide,
    },
    {
      when: "slots are full and a job waits too long",
      from: wide,
      given: { freeSlots: 0, oldestWaitMs: 1_100 },
      to: { kind: "narrow", sinceMs: 100_000 },
    },
    { when: "jobs are short again and slots free", from: narrow, given: {}, to: wide },
    { when: "jobs are still long", from: narrow, given: { averageRunMs: 900 }, to: narrow },
    { when: "slots are full", from: narrow, given: { freeSlots: 0 }, to: narrow },
    {
      when: "it was narrowed just now",
      from: { kind: "narrow", sinceMs: 99_000 },
      given: {},
      to: { kind: "narrow", sinceMs: 99_000 },
    },
  ])("when $when, $from.kind becomes $to.kind", ({ from, given, to }) => {
    expect(turnValve(from, { ...facts, ...given })).toEqual(to);
  });

  test.for<{ when: string; valve: Valve; given: Partial<ValveFacts>; before: number; window: number }>([
    { when: "wide", valve: wide, given: { freeSlots: 0 }, before: 20, window: 20 },
    { when: "shut", valve: wide, given: { shut: true }, before: 20, window: 0 },
    { when: "narrow and full", valve: narrow, given: { freeSlots: 0 }, before: 20, window: 0 },
    { when: "narrow, closed, with free slots", valve: narrow, given: {}, before: 0, window: 3 },
    { when: "narrow and open already", valve: narrow, given: { freeSlots: 1 }, before: 3, window: 3 },
    {
      when: "narrow with more free slots than it may hold",
      valve: narrow,
      given: { freeSlots: 50 },
      before: 0,
      window: 20,
    },
  ])("when $when, wants $window messages", ({ valve, given, before, window }) => {
    expect(windowOf(valve, { ...facts, ...given }, before)).toBe(window);
  });
});
