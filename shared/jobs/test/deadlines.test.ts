import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createDeadlines } from "../src/attempts/deadlines.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

test("a deadline expires once, at most a tick late and never early", async () => {
  const deadlines = createDeadlines();
  let expiredAt = 0;
  await vi.advanceTimersByTimeAsync(7);
  const startedAt = performance.now();
  deadlines.add(105, () => {
    expiredAt = performance.now();
  });
  await vi.advanceTimersByTimeAsync(500);
  expect(expiredAt - startedAt).toBeGreaterThanOrEqual(105);
  expect(expiredAt - startedAt).toBeLessThanOrEqual(105 + 45);
});

test("a cancelled one never does, and with none left no timer runs", async () => {
  const deadlines = createDeadlines();
  const expired = vi.fn<() => void>();
  const one = deadlines.add(50, expired);
  one.cancel();
  one.cancel();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(expired).not.toHaveBeenCalled();
  expect(vi.getTimerCount()).toBe(0);
});

test("a deadline of nothing, and one added by another, expire too", async () => {
  const deadlines = createDeadlines();
  const seen: string[] = [];
  deadlines.add(0, () => {
    seen.push("first");
    deadlines.add(0, () => void seen.push("second"));
  });
  await vi.advanceTimersByTimeAsync(200);
  expect(seen).toEqual(["first", "second"]);
});

test("after the process was suspended everything due expires, in order", async () => {
  let clock = 0;
  const deadlines = createDeadlines(() => clock);
  const seen: number[] = [];
  for (const delay of [300, 100, 200, 90_000_000]) deadlines.add(delay, () => void seen.push(delay));
  clock = 80_000_000;
  await vi.advanceTimersByTimeAsync(20);
  expect(seen).toEqual([100, 200, 300]);
});
