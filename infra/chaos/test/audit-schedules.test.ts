import { expect, test } from "vitest";
import { auditSchedules } from "../src/audit/schedules.ts";
import { effect } from "./audit-fixture.ts";

const each = { name: "s", everyMs: 1_000, startMs: 6_000, endMs: 9_000, instants: "each" } as const;
const fired = (...instants: readonly number[]) => instants.map((number) => effect("tick", number, { key: "s" }));
const look = (schedule: Parameters<typeof auditSchedules>[0][number], ...instants: readonly number[]) =>
  auditSchedules([schedule], fired(...instants)).map(({ what }) => what);

test("every instant once is as it should be", () => {
  expect(look(each, 6_000, 7_000, 8_000, 9_000)).toEqual([]);
  expect(look({ ...each, instants: "some" }, 6_000, 9_000)).toEqual([]);
});

test("an instant that is missing, doubled, or no instant of the schedule is found", () => {
  expect(look(each, 6_000, 8_000, 9_000)).toEqual(["s: it never fired for 1970-01-01T00:00:07.000Z"]);
  expect(look({ ...each, instants: "some" }, 7_000, 7_000)).toEqual([
    "s: it fired 2 times for 1970-01-01T00:00:07.000Z",
  ]);
  expect(look({ ...each, instants: "some" }, 7_500, 10_000)).toEqual([
    "s: it fired for 1970-01-01T00:00:07.500Z, which is no time of it",
    "s: it fired for 1970-01-01T00:00:10.000Z, which is no time of it",
  ]);
  expect(look({ ...each, instants: "some" })).toEqual(["s: it never fired at all"]);
});
