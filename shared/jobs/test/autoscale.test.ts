import { assert, integer, property, record } from "fast-check";
import { describe, expect, test } from "vitest";
import { type LoadSample, nextScale, type Scale } from "../src/worker/autoscale.ts";

const limits = { min: 2, max: 100, targetWaitMs: 500, maxLoopLagMs: 100 };
const idle: LoadSample = { busySlots: 0, waitMs: 0, loopLagMs: 1 };
const at = (concurrency: number, more: Partial<Scale> = {}): Scale => ({
  concurrency,
  calmLooks: 0,
  holdLooks: 0,
  ...more,
});

describe("the concurrency", () => {
  test.for<{ what: string; scale: Scale; sample: LoadSample; to: number }>([
    {
      what: "grows by a quarter while jobs wait and slots are taken",
      scale: at(20),
      sample: { busySlots: 20, waitMs: 900, loopLagMs: 5 },
      to: 25,
    },
    { what: "grows by one at least", scale: at(2), sample: { busySlots: 2, waitMs: 900, loopLagMs: 5 }, to: 3 },
    {
      what: "never grows above its maximum",
      scale: at(95),
      sample: { busySlots: 95, waitMs: 900, loopLagMs: 5 },
      to: 100,
    },
    {
      what: "stays while nobody waits long",
      scale: at(20),
      sample: { busySlots: 20, waitMs: 400, loopLagMs: 5 },
      to: 20,
    },
    {
      what: "stays while slots are free: more would not help",
      scale: at(20),
      sample: { busySlots: 12, waitMs: 900, loopLagMs: 5 },
      to: 20,
    },
    {
      what: "stays while the event loop is half as late as it may be",
      scale: at(20),
      sample: { busySlots: 20, waitMs: 900, loopLagMs: 60 },
      to: 20,
    },
    {
      what: "shrinks by a quarter at once when the event loop is late",
      scale: at(20),
      sample: { busySlots: 20, waitMs: 9_000, loopLagMs: 150 },
      to: 15,
    },
    {
      what: "never shrinks below its minimum",
      scale: at(2),
      sample: { busySlots: 2, waitMs: 0, loopLagMs: 900 },
      to: 2,
    },
    {
      what: "does not grow soon after it was late",
      scale: at(20, { holdLooks: 3 }),
      sample: { busySlots: 20, waitMs: 900, loopLagMs: 5 },
      to: 20,
    },
    { what: "keeps unneeded slots at first", scale: at(20), sample: idle, to: 20 },
    { what: "lets unneeded slots go after a while", scale: at(20, { calmLooks: 4 }), sample: idle, to: 15 },
    { what: "keeps what is needed", scale: at(20, { calmLooks: 4 }), sample: { ...idle, busySlots: 10 }, to: 15 },
    {
      what: "keeps one more than is needed",
      scale: at(10, { calmLooks: 4 }),
      sample: { ...idle, busySlots: 5 },
      to: 8,
    },
  ])("$what", ({ scale, sample, to }) => {
    expect(nextScale(scale, sample, limits).concurrency).toBe(to);
  });
});

test("a steady load settles: it does not swing", () => {
  let scale = at(2);
  const seen: number[] = [];
  for (let look = 0; look < 200; look += 1) {
    // 30 slots are what this load needs: with fewer jobs wait, with more they do not
    const sample = {
      busySlots: Math.min(scale.concurrency, 30),
      waitMs: scale.concurrency < 30 ? 2_000 : 10,
      loopLagMs: 5,
    };
    scale = nextScale(scale, sample, limits);
    seen.push(scale.concurrency);
  }
  expect(new Set(seen.slice(-100)).size).toBe(1);
  expect(seen.at(-1)).toBeGreaterThanOrEqual(30);
});

test("property: it stays within its bounds, and moves by a quarter at most", () => {
  const samples = record({
    busySlots: integer({ min: 0, max: 200 }),
    waitMs: integer({ min: 0, max: 5_000 }),
    loopLagMs: integer({ min: 0, max: 500 }),
  });
  const scales = record({
    concurrency: integer({ min: 2, max: 100 }),
    calmLooks: integer({ min: 0, max: 5 }),
    holdLooks: integer({ min: 0, max: 5 }),
  });
  assert(
    property(scales, samples, (scale, sample) => {
      const { concurrency } = nextScale(scale, sample, limits);
      expect(concurrency).toBeGreaterThanOrEqual(limits.min);
      expect(concurrency).toBeLessThanOrEqual(limits.max);
      expect(Math.abs(concurrency - scale.concurrency)).toBeLessThanOrEqual(Math.max(1, scale.concurrency / 4));
    }),
  );
});
