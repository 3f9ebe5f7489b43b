import { expect, test } from "vitest";
import { createOrder, type JobEvent } from "../../src/control/watch.ts";

function event(what: JobEvent["event"], attempt?: number, id = "a"): JobEvent {
  const nothing = { name: undefined, reason: undefined, code: undefined, progress: undefined, isExhausted: false };
  return { id, queue: "q", event: what, at: new Date(0), attempt, ...nothing };
}

test("what comes late, by another way, is left out", () => {
  const isNext = createOrder();
  expect(isNext(event("waiting"))).toBe(true);
  expect(isNext(event("active", 1))).toBe(true);
  expect(isNext(event("waiting")), "a second message for the same job").toBe(false);
  expect(isNext(event("retrying", 1))).toBe(true);
  expect(isNext(event("waiting"))).toBe(true);
  expect(isNext(event("active", 2))).toBe(true);
  expect(isNext(event("succeeded", 1)), "a fenced attempt").toBe(false);
  expect(isNext(event("succeeded", 2))).toBe(true);
  expect(isNext(event("waiting")), "a late message for a job that is done").toBe(false);
});

test("a dead job that was retried waits again, and jobs do not mix", () => {
  const isNext = createOrder();
  const seen = [event("active", 3), event("dead", 3), event("active", 1, "b"), event("waiting"), event("active", 4)];
  expect(seen.map(isNext)).toEqual([true, true, true, true, true]);
});

test("of very many jobs the oldest are forgotten, and every event is still let through", () => {
  const isNext = createOrder();
  const passed = Array.from({ length: 20_100 }, (_, index) => isNext(event("active", 1, String(index))));
  expect(passed.every(Boolean)).toBe(true);
});
