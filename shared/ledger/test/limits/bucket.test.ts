import * as fc from "fast-check";
import { expect, test } from "vitest";
import { afterStarts, type Bucket, msUntil, type Rate, type Starts, wholeTokens } from "../../src/limits/bucket.ts";
import { roomOf, type Sight } from "../../src/limits/room.ts";

const second: Rate = { limit: 10, perMs: 1_000, burst: 5 };

test.for<{ what: string; bucket?: Bucket; starts?: Starts[]; nowMs: number; tokens: number }>([
  { what: "without a past it is full", nowMs: 0, tokens: 5 },
  { what: "a start takes a token", starts: [{ count: 1, atMs: 0 }], nowMs: 0, tokens: 4 },
  { what: "it fills by the rate", bucket: { tokens: 0, atMs: 0 }, nowMs: 150, tokens: 1.5 },
  { what: "it never holds more than its burst", bucket: { tokens: 4, atMs: 0 }, nowMs: 60_000, tokens: 5 },
  {
    what: "what was full when a job started lost what would have come in",
    bucket: { tokens: 5, atMs: 0 },
    starts: [{ count: 1, atMs: 1_000 }],
    nowMs: 1_000,
    tokens: 4,
  },
  {
    what: "a start that comes to light late is taken out at once",
    bucket: { tokens: 2, atMs: 1_000 },
    starts: [{ count: 1, atMs: 900 }],
    nowMs: 1_000,
    tokens: 1,
  },
  { what: "a clock that stands still adds nothing", bucket: { tokens: 1, atMs: 500 }, nowMs: 400, tokens: 1 },
])("a bucket: $what", ({ bucket, starts = [], nowMs, tokens }) => {
  expect(afterStarts(bucket, second, starts, nowMs).tokens).toBeCloseTo(tokens, 9);
});

test("the next token is told to the millisecond", () => {
  expect(msUntil({ tokens: 0.5, atMs: 0 }, second, 1)).toBeCloseTo(50);
  expect(msUntil({ tokens: 3, atMs: 0 }, second, 1)).toBe(0);
});

test("property: whoever releases by the bucket and starts later never breaks the rate, whenever starts come to light", () => {
  const steps = fc.array(fc.record({ waitMs: fc.nat({ max: 400 }), start: fc.nat({ max: 6 }), seen: fc.boolean() }), {
    minLength: 1,
    maxLength: 60,
  });
  const rates = fc.record({
    limit: fc.integer({ min: 1, max: 50 }),
    perMs: fc.constantFrom(100, 1_000),
    burst: fc.integer({ min: 1, max: 8 }),
  });
  fc.assert(
    fc.property(rates, steps, (rate, script) => {
      let nowMs = 0;
      let bucket: Bucket | undefined;
      let unstarted = 0;
      let hidden: Starts[] = [];
      const starts: number[] = [];
      for (const { waitMs, start, seen } of script) {
        nowMs += waitMs;
        if (seen) {
          const visible = hidden;
          hidden = [];
          bucket = afterStarts(bucket, rate, visible, nowMs);
          unstarted -= visible.reduce((sum, one) => sum + one.count, 0);
          // a job whose start is not visible yet counts as unstarted
          unstarted += Math.max(0, wholeTokens(bucket) - unstarted);
        }
        const open = unstarted - hidden.reduce((sum, one) => sum + one.count, 0);
        const count = Math.min(start, Math.max(0, open));
        if (count > 0) {
          hidden.push({ count, atMs: nowMs });
          for (let one = 0; one < count; one += 1) starts.push(nowMs);
        }
      }
      for (const [from, first] of starts.entries()) {
        for (const [further, last] of starts.slice(from).entries()) {
          expect(further + 1).toBeLessThanOrEqual(rate.burst + ((last - first) * rate.limit) / rate.perMs + 1e-6);
        }
      }
    }),
  );
});

const calm: Sight = {
  nowMs: 1_000,
  concurrency: undefined,
  rate: undefined,
  places: 10,
  released: 0,
  unstarted: 0,
  bucket: undefined,
  starts: [],
  outstanding: 0,
  lookedAtMs: undefined,
  flow: 0,
};

test.for<{ what: string; sight: Partial<Sight>; jobs: number }>([
  { what: "what workers can use, and a little ahead", sight: {}, jobs: 13 },
  { what: "less what they have", sight: { released: 8 }, jobs: 5 },
  { what: "nothing without workers", sight: { places: 0 }, jobs: 0 },
  { what: "more ahead where jobs finish fast", sight: { flow: 1 }, jobs: 260 },
  { what: "no more than the concurrency leaves", sight: { concurrency: 4, released: 3 }, jobs: 1 },
  { what: "nothing past a concurrency that was lowered", sight: { concurrency: 4, released: 9 }, jobs: 0 },
  { what: "no more than whole tokens", sight: { rate: second }, jobs: 5 },
  {
    what: "a token less for each job that has not started",
    sight: { rate: second, released: 3, unstarted: 3 },
    jobs: 2,
  },
])("released are $what", ({ sight, jobs }) => {
  expect(roomOf({ ...calm, ...sight }).jobs).toBe(jobs);
});

test("an empty bucket tells when it is worth another look", () => {
  const { jobs, nextTokenMs } = roomOf({ ...calm, rate: second, bucket: { tokens: 0.25, atMs: 1_000 } });
  expect(jobs).toBe(0);
  expect(nextTokenMs).toBeCloseTo(75);
});
