import { expect, test } from "vitest";
import { auditOrder } from "../src/audit/order.ts";
import { attempt, effect } from "./audit-fixture.ts";

const key = "anna";
const ran = (number: number, startMs: number, endMs: number, more: object = {}) =>
  attempt("ordered", number, { key, startMs, endMs, ...more });
const did = (number: number, more: object = {}) => effect("ordered", number, { key, ...more });

test("one after the other, with failures, kills and other keys between, is in order", () => {
  const attempts = [
    ran(1, 0, 10, { ending: "failed" }),
    ran(1, 20, 30, { ending: "cut", fence: 2 }),
    ran(1, 40, 50, { fence: 3 }),
    ran(2, 50, 60),
    attempt("ordered", 3, { key: "ben", startMs: 45, endMs: 55 }),
  ];
  expect(auditOrder(attempts, [did(1), did(3, { key: "ben" }), did(2)])).toEqual([]);
});

test("one that begins before the one before has ended for good is found: while it waits for another attempt", () => {
  const [finding] = auditOrder([ran(1, 0, 10, { ending: "failed" }), ran(2, 20, 30), ran(1, 40, 50)], []);
  expect(finding).toMatchObject({ rule: "order", what: "key anna: 2 began before 1 had ended for good" });
});

test("… while it runs", () => {
  const [finding] = auditOrder([ran(1, 0, 10), ran(2, 9, 30)], []);
  expect(finding?.what).toBe("key anna: 2 began while 1 ran");
});

test("… and when it comes first", () => {
  const [finding] = auditOrder([ran(2, 0, 10), ran(1, 20, 30)], []);
  expect(finding?.what).toBe("key anna: 1 began after 2");
});

test("what a worker does after its lease is not the job's turn", () => {
  const stale = ran(1, 100, 100, { ending: "overrun" });
  expect(auditOrder([ran(1, 0, 10), ran(2, 20, 30), stale], [])).toEqual([]);
});

test("effects in another order are found, whatever the attempts say", () => {
  const [finding] = auditOrder([], [did(2), did(1)]);
  expect(finding?.what).toBe("key anna: the effect of 1 came after that of 2");
});
