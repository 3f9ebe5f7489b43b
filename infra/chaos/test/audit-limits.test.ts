import { propertyRuns } from "@warren/testing/properties";
import { array, assert, integer, property } from "fast-check";
import { expect, test } from "vitest";
import { auditConcurrency, auditEarly, auditRate, mostAtOnce } from "../src/audit/limits.ts";
import { attempt, move } from "./audit-fixture.ts";

const ran = (key: string, startMs: number, endMs: number) => attempt("capped", startMs, { key, startMs, endMs });

test("as many at once as are allowed are allowed; one more is found, in the queue and in a key", () => {
  const limits = { concurrency: 3, keyConcurrency: 2 };
  const three = [ran("a", 0, 10), ran("a", 5, 15), ran("b", 6, 20), ran("a", 10, 30)];
  expect(auditConcurrency(three, limits)).toEqual([]);
  expect(auditConcurrency([...three, ran("c", 7, 9)], limits).map(({ what }) => what)).toEqual([
    "the queue: 4 at once, 3 are allowed",
  ]);
  expect(auditConcurrency([...three, ran("a", 8, 9)], { ...limits, concurrency: 9 }).map(({ what }) => what)).toEqual([
    "key a: 3 at once, 2 are allowed",
  ]);
});

test("an attempt without length never ran", () => {
  expect(mostAtOnce([ran("a", 0, 10), ran("a", 5, 5)]).most).toBe(1);
});

const rate = { limit: 10, perMs: 1_000, burst: 5 };

test("a burst and then the pace keep a rate; one start more is found", () => {
  const burst = [0, 0, 0, 0, 0];
  const pace = [100, 200, 300, 400];
  expect(auditRate([...burst, ...pace], rate)).toEqual([]);
  expect(auditRate([...burst, 0, ...pace], rate)[0]?.what).toBe("start 6 came 100.0 ms too early for 10 in 1000 ms");
  expect(auditRate([...burst, 100, 199], rate)[0]?.what).toBe("start 7 came 1.0 ms too early for 10 in 1000 ms");
});

test("a rate is kept exactly when no span holds more than burst and pace allow", () => {
  assert(
    property(array(integer({ min: 0, max: 400 }), { maxLength: 30 }), (gaps) => {
      let at = 0;
      const starts = gaps.map((gap) => (at += gap));
      const tooMany = starts.some((from, first) =>
        starts.some(
          (to, last) => last >= first && last - first + 1 > rate.burst + ((to - from) * rate.limit) / rate.perMs + 1e-6,
        ),
      );
      expect(auditRate(starts, rate).length > 0).toBe(tooMany);
    }),
    { numRuns: propertyRuns(500) },
  );
});

test("a job that was claimed before its time is found", () => {
  expect(auditEarly([move("claimed", 1, 100), move("left", 2, 100, { dueMs: 9e9 })])).toEqual([]);
  expect(auditEarly([move("claimed", 1, 100, { dueMs: 1_000_101 })])[0]?.what).toBe(
    "job job-1 of q was claimed 1.0 ms before its time",
  );
});
