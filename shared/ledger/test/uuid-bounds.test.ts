import * as fc from "fast-check";
import { v7 } from "uuid";
import { expect, test } from "vitest";
import { dayEndMs, historyDay, uuidBound } from "../src/uuid-bounds.ts";

const instant = fc.integer({ min: 0, max: 2 ** 48 - 2 });

test("property: an id sorts between the bound of its millisecond and the next", () => {
  fc.assert(
    fc.property(instant, (msecs) => {
      const id = v7({ msecs });
      expect(uuidBound(msecs) < id && id < uuidBound(msecs + 1)).toBe(true);
    }),
  );
});

test("property: a day holds its instant, and days follow each other without gap or overlap", () => {
  const day = fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2200, 0, 1) });
  fc.assert(
    fc.property(day, (atMs) => {
      const today = historyDay("jobs_history", atMs, 0);
      const id = v7({ msecs: atMs });
      expect(today.from <= id && id < today.to).toBe(true);
      expect(historyDay("jobs_history", atMs, 1).from).toBe(today.to);
      expect(dayEndMs("jobs_history", today.table)).toBe(Math.floor(atMs / 86_400_000) * 86_400_000 + 86_400_000);
    }),
  );
});

test("a day's name says its date", () => {
  expect(historyDay("deliveries", Date.UTC(2026, 1, 28, 23, 59), 1).table).toBe("deliveries_20260301");
});

test.for(["jobs_history_default", "jobs_history_2026", "jobs_history_20260228_old", "deliveries_20260228"])(
  "%s is no day of jobs_history, and is never dropped",
  (table) => {
    expect(dayEndMs("jobs_history", table)).toBeUndefined();
  },
);

test.for([-1, 0.5, 2 ** 48, Number.NaN])("%d is no instant of a UUIDv7", (atMs) => {
  expect(() => uuidBound(atMs)).toThrow(RangeError);
});
